/* Says what a model wants, and runs it once on zeros; open dimensions are 1.
 *
 *   describe MODEL.onnx
 */
#include <inttypes.h>
#include <sardonyx/sardonyx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 64

static int complain(const char* what, sdx_status status) {
  fprintf(stderr, "%s: %s: %s\n", what, sdx_status_text(status), sdx_last_error());
  return 1;
}

static sdx_status make_zeros(const sdx_info* info, sdx_value** out) {
  int64_t shape[MOST];
  size_t axis;
  const int64_t rank = sdx_info_rank(info);
  sdx_status status;
  for (axis = 0; (int64_t)axis < rank && axis < MOST; ++axis)
    shape[axis] = sdx_info_dim(info, axis) < 0 ? 1 : sdx_info_dim(info, axis);
  status = sdx_tensor_create(sdx_info_dtype(info), shape, axis, out);
  if (status == SDX_OK && sdx_tensor_bytes(*out) > 0)
    memset(sdx_tensor_data(*out), 0, sdx_tensor_bytes(*out));
  return status;
}

static void print_value(const char* name, const sdx_value* value) {
  size_t i;
  printf("%s = %s", name, sdx_dtype_name(sdx_tensor_dtype(value)));
  for (i = 0; i < sdx_tensor_rank(value); ++i) printf(" %" PRId64, sdx_tensor_shape(value)[i]);
  if (sdx_tensor_dtype(value) == SDX_FLOAT32) {
    printf(":");
    for (i = 0; i < sdx_tensor_count(value) && i < 10; ++i)
      printf(" %g", ((const float*)sdx_tensor_read(value))[i]);
  }
  printf("\n");
}

int main(int argc, char** argv) {
  sdx_options* options = NULL;
  sdx_session* session = NULL;
  sdx_value* inputs[MOST] = {NULL};
  sdx_value* outputs[MOST] = {NULL};
  size_t i, input_count, output_count;
  sdx_status status;
  int failed = 0;

  if (argc != 2) {
    fprintf(stderr, "usage: describe MODEL.onnx\n");
    return 2;
  }
  status = sdx_options_create(&options);
  if (status == SDX_OK) status = sdx_options_set_threads(options, 1);
  if (status == SDX_OK) status = sdx_session_load(argv[1], options, &session);
  sdx_options_free(options);
  if (status != SDX_OK) return complain(argv[1], status);

  printf("sardonyx %s (%s)\n", sdx_version(), sdx_instruction_set());
  input_count = sdx_session_input_count(session);
  output_count = sdx_session_output_count(session);
  if (input_count > MOST || output_count > MOST) {
    fprintf(stderr, "the model has too many inputs or outputs for this program\n");
    failed = 1;
  }
  for (i = 0; !failed && i < input_count; ++i) {
    const sdx_info* info = sdx_session_input(session, i);
    printf("input %s: %s\n", sdx_info_name(info), sdx_info_type(info));
    if (sdx_info_optional(info)) continue; /* NULL: left out */
    status = make_zeros(info, &inputs[i]);
    if (status != SDX_OK) failed = complain(sdx_info_name(info), status);
  }
  if (!failed) {
    status = sdx_session_run(session, NULL, NULL, (const sdx_value* const*)inputs, input_count,
                             NULL, outputs, output_count);
    if (status != SDX_OK) failed = complain("run", status);
  }
  for (i = 0; !failed && i < output_count; ++i)
    print_value(sdx_info_name(sdx_session_output(session, i)), outputs[i]);

  for (i = 0; i < MOST; ++i) {
    sdx_value_free(inputs[i]);
    sdx_value_free(outputs[i]);
  }
  sdx_session_free(session);
  return failed;
}
