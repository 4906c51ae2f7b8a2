// Who decodes for a session's ImageDecoder, through the C++ and the C interface.
#include <doctest/doctest.h>

#include <cstring>

#include "capi/handles.h"
#include "onnx/message.h"

using namespace sdx;
using namespace sdx::onnx::test;

namespace {

std::string decoder_model() {
  Message graph;
  const Message type = Message().add(1, Message().integer(1, 2));
  graph.add(1, node("ImageDecoder", {"x"}, {"y"}, "decoder"))
      .add(11, Message().bytes(1, "x").add(2, type))
      .add(12, untyped("y"));
  return Message().integer(1, 9).add(8, opset("", 20)).add(7, graph).encoded();
}

Tensor run(const Options& options, const std::string& file, const RunControl& control = {}) {
  const std::string bytes = decoder_model();
  Session session = Session::load_bytes(std::as_bytes(std::span(bytes)), options);
  const Tensor encoded =
      Tensor::view(DType::uint8, {static_cast<int64_t>(file.size())}, file.data());
  const std::vector<Feed> feeds{{"x", encoded}};
  return session.run(feeds, {}, {}, control).at(0).tensor();
}

// The options of a program in C whose decoder is `decode`.
Options options_of(sdx_image_decoder decode, void* context = nullptr) {
  sdx_options handle;
  REQUIRE(sdx_options_set_image_decoder(&handle, decode, context) == SDX_OK);
  return handle.options;
}

template <class F>
std::pair<ErrorKind, std::string> error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {ErrorKind::internal, "no error"};
}

}  // namespace

TEST_CASE("the host's decoder gets the file and its pixels come out") {
  Options options;
  options.image_codec = [](std::span<const std::byte> encoded, std::string_view pixel_format) {
    CHECK(pixel_format == "RGB");
    return Tensor::filled<uint8_t>({1, 1, 3}, static_cast<uint8_t>(encoded[0]));
  };
  CHECK(*run(options, "A").data<uint8_t>() == 'A');
}

TEST_CASE("a decoder in C is told what is asked and may make no pixels") {
  int calls = 0;
  const Options options = options_of(
      [](void* context, sdx_image* image) {
        ++*static_cast<int*>(context);
        CHECK(sdx_image_size(image) == 2);
        CHECK(std::memcmp(sdx_image_bytes(image), "AB", 2) == 0);
        CHECK(sdx_image_pixel_format(image) == SDX_PIXELS_RGB);
        uint8_t* pixels = nullptr;
        CHECK(sdx_image_allocate(image, -1, 2, &pixels) == SDX_INVALID_ARGUMENT);
        CHECK(pixels == nullptr);
        return sdx_status{SDX_OK};
      },
      &calls);
  CHECK(run(options, "AB").shape() == Shape{0, 0, 3});
  CHECK(calls == 1);
}

TEST_CASE("a failure of the decoder names the node, and keeps what failed beneath it") {
  const auto told = error_of([] {
    run(options_of([](void*, sdx_image* image) {
          return sdx_image_fail(image, SDX_UNSUPPORTED, "no such camera");
        }),
        "A");
  });
  CHECK(told.first == ErrorKind::unsupported);
  CHECK(told.second.find("node 'decoder'") != std::string::npos);
  CHECK(told.second.find("no such camera") != std::string::npos);

  const auto allocate = [](void*, sdx_image* image) {
    uint8_t* pixels = nullptr;
    return sdx_image_allocate(image, 1000, 1000, &pixels);
  };
  RunControl limited;
  limited.memory_limit = 9999;
  const auto beneath = error_of([&] { run(options_of(allocate), "A", limited); });
  CHECK(beneath.first == ErrorKind::out_of_memory);
  CHECK(beneath.second.find("limit of 9999") != std::string::npos);

  const auto silent = error_of([] {
    run(options_of([](void*, sdx_image*) { return sdx_status{SDX_INVALID_MODEL}; }), "A");
  });
  CHECK(silent.first == ErrorKind::invalid_model);
  CHECK(silent.second.find("does not say why") != std::string::npos);
}

TEST_CASE("no decoder of the host's leaves it to the library, or says what is missing") {
  sdx_options handle;
  CHECK(sdx_options_set_image_decoder(&handle, nullptr, nullptr) == SDX_OK);
  CHECK(handle.options.image_codec == nullptr);
  if (*sdx_image_formats()) {
    CHECK(run({}, "no image").shape() == Shape{0, 0, 3});
    return;
  }
  const auto missing = error_of([] { run({}, "A"); });
  CHECK(missing.first == ErrorKind::unsupported);
  CHECK(missing.second.find("SDX_IMAGE_CODECS") != std::string::npos);
  CHECK(missing.second.find("sardonyx[image]") != std::string::npos);
}

TEST_CASE("the functions for decoders take no NULL") {
  CHECK(sdx_image_bytes(nullptr) == nullptr);
  CHECK(sdx_image_size(nullptr) == 0);
  CHECK(sdx_image_decode(nullptr) == SDX_INVALID_ARGUMENT);
  CHECK(sdx_image_allocate(nullptr, 1, 1, nullptr) == SDX_INVALID_ARGUMENT);
  CHECK(sdx_image_fail(nullptr, SDX_OK, nullptr) == SDX_INTERNAL);
  CHECK(sdx_options_set_image_decoder(nullptr, nullptr, nullptr) == SDX_INVALID_ARGUMENT);
}
