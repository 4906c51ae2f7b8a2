/* Decodes images by a model of one ImageDecoder, each line of standard input naming a file: its
 * pixels go to the file's name with .pixels behind it, and what came of it to standard output.
 *
 *   images_c MODEL.onnx default|strict|own [BYTES]
 *
 * default: no decoder of the program's. strict: one that lets the library decode, and fails where
 * that does. own: one for files of a kind of its own, "RAW", height, width and the pixels, a byte
 * each. BYTES are what a run may take. */
#include <sardonyx/sardonyx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST (1 << 24)

static sdx_status decode_strictly(void* context, sdx_image* image) {
  ++*(int*)context;
  return sdx_image_decode(image);
}

static sdx_status decode_own(void* context, sdx_image* image) {
  const uint8_t* bytes = sdx_image_bytes(image);
  const size_t channels = sdx_image_pixel_format(image) == SDX_PIXELS_GRAYSCALE ? 1 : 3;
  const int reversed = sdx_image_pixel_format(image) == SDX_PIXELS_BGR;
  uint8_t* pixels = NULL;
  size_t i, count;
  sdx_status status;
  ++*(int*)context;
  if (sdx_image_size(image) < 5 || memcmp(bytes, "RAW", 3) != 0) {
    if (bytes[0] == '?') return SDX_OK; /* no image: an empty one */
    if (bytes[0] == '!') return SDX_UNSUPPORTED;
    return sdx_image_fail(image, SDX_INVALID_ARGUMENT, "this is no RAW file");
  }
  count = (size_t)bytes[3] * bytes[4];
  if (sdx_image_size(image) != 5 + 3 * count)
    return sdx_image_fail(image, SDX_INVALID_ARGUMENT, "the RAW file has a wrong size");
  if (sdx_image_cancelled(image)) return SDX_CANCELLED;
  status = sdx_image_allocate(image, bytes[3], bytes[4], &pixels);
  if (status != SDX_OK) return status;
  for (i = 0; i < count * channels; ++i)
    pixels[i] = channels == 1 ? bytes[5 + 3 * i]
                : reversed    ? bytes[5 + i + 2 - 2 * (i % 3)]
                              : bytes[5 + i];
  return SDX_OK;
}

static sdx_status run(sdx_session* session, sdx_run* limits, uint8_t* bytes, size_t size,
                      sdx_value** out) {
  const int64_t shape[1] = {(int64_t)size};
  sdx_value* file = NULL;
  sdx_status status = sdx_tensor_view(SDX_UINT8, shape, 1, bytes, size, &file);
  if (status == SDX_OK) {
    const sdx_value* inputs[1];
    inputs[0] = file;
    status = sdx_session_run(session, limits, NULL, inputs, 1, NULL, out, 1);
  }
  sdx_value_free(file);
  return status;
}

int main(int argc, char** argv) {
  sdx_options* options = NULL;
  sdx_session* session = NULL;
  sdx_run* limits = NULL;
  char name[4096];
  int calls = 0;
  uint8_t* bytes = malloc(MOST);
  sdx_status status = argc >= 3 && bytes ? sdx_options_create(&options) : SDX_INTERNAL;
  if (status == SDX_OK && strcmp(argv[2], "strict") == 0)
    status = sdx_options_set_image_decoder(options, decode_strictly, &calls);
  if (status == SDX_OK && strcmp(argv[2], "own") == 0)
    status = sdx_options_set_image_decoder(options, decode_own, &calls);
  if (status == SDX_OK) status = sdx_session_load(argv[1], options, &session);
  sdx_options_free(options);
  if (status == SDX_OK) status = sdx_run_create(&limits);
  if (status == SDX_OK && argc > 3) status = sdx_run_set_memory_limit(limits, atol(argv[3]));
  if (status != SDX_OK) {
    fprintf(stderr, "%s\n", sdx_last_error());
    return 1;
  }
  printf("formats: %s\n", sdx_image_formats());
  while (fgets(name, sizeof(name) - 8, stdin)) {
    sdx_value* image = NULL;
    FILE* file;
    size_t size;
    name[strcspn(name, "\n")] = '\0';
    file = fopen(name, "rb");
    if (!file) return 1;
    size = fread(bytes, 1, MOST, file);
    fclose(file);
    status = run(session, limits, bytes, size, &image);
    if (status != SDX_OK) {
      printf("%s: %s\n", sdx_status_text(status), sdx_last_error());
      continue;
    }
    printf("%d x %d x %d\n", (int)sdx_tensor_shape(image)[0], (int)sdx_tensor_shape(image)[1],
           (int)sdx_tensor_shape(image)[2]);
    file = fopen(strcat(name, ".pixels"), "wb");
    if (!file) return 1;
    fwrite(sdx_tensor_read(image), 1, sdx_tensor_bytes(image), file);
    fclose(file);
    sdx_value_free(image);
  }
  printf("calls: %d\n", calls);
  sdx_run_free(limits);
  sdx_session_free(session);
  free(bytes);
  return 0;
}
