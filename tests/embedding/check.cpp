// Uses every part of the C++ interface, and with it the C one, on models that the test made.
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sardonyx/sardonyx.hpp>
#include <thread>

namespace {

int failures = 0;

#define CHECK(...) \
  if (!(__VA_ARGS__)) std::cerr << "line " << __LINE__ << ": " #__VA_ARGS__ << '\n', ++failures

template <class F>
sdx::Status status_of(F&& f, const std::string& text = "") {
  try {
    f();
  } catch (const sdx::Error& error) {
    if (std::string(error.what()).find(text) == std::string::npos)
      std::cerr << "unexpected: " << error.what() << '\n', ++failures;
    return error.status();
  }
  return sdx::Status::ok;
}

std::vector<float> floats(const sdx::Value& value) {
  const sdx::Tensor tensor = value.tensor();
  const auto items = tensor.items<float>();
  return {items.begin(), items.end()};
}

const std::vector<float> kOnes{1, 1, 1};

void check_declarations(const std::string& folder) {
  const sdx::Session model(folder + "/add.onnx");
  const sdx::Info x = model.inputs().at(0);
  CHECK(x.name == "x" && x.type == "float32[n, 3]" && x.kind == sdx::Kind::tensor);
  CHECK(x.dtype == sdx::DType::float32 && x.has_shape && x.shape == sdx::Shape{-1, 3});
  CHECK(x.dims == std::vector<std::string>{"n", "3"} && !x.optional);
  CHECK(model.inputs().at(1).optional && model.outputs().at(0).name == "y");
  bool found = false;
  for (const auto& [key, text] : model.metadata()) found |= key == "author" && text == "a test";
  CHECK(found);
  CHECK(model.threads() >= 1 && !sdx::version().empty() && !sdx::instruction_set().empty());
  CHECK(sdx::name(sdx::DType::bfloat16) == "bfloat16");
}

void check_tensors(const std::string& folder) {
  sdx::Session model(folder + "/add.onnx", sdx::Options().threads(1).level(1).passes("").precision(
                                               sdx::Precision::strict));
  const auto x = sdx::Tensor::from<float>({1, 3}, {1, 2, 3});
  CHECK(floats(model(x)) == std::vector<float>{2, 3, 4});
  CHECK(floats(model(x, sdx::Tensor::view(kOnes.data(), {3}))) == std::vector<float>{2, 3, 4});
  const auto w = sdx::Tensor::from<float>({3}, {1, 2, 3});
  CHECK(floats(model.run({{"w", w}, {"x", x}}, {"y"}).at(0)) == std::vector<float>{2, 4, 6});

  float memory[3] = {};
  std::vector<sdx::Value> outputs{sdx::Tensor::view(memory, {1, 3})};
  model.run_into({x}, outputs);
  CHECK(memory[0] == 2 && memory[2] == 4);
  std::vector<sdx::Value> wrong{sdx::Tensor(sdx::DType::float32, {2, 3})};
  CHECK(status_of([&] { model.run_into({x}, wrong); }, "[2, 3]") == sdx::Status::invalid_argument);

  const sdx::Value copy = x;
  CHECK(copy.tensor().raw() == x.raw() && x.bytes() == 12 && x.size() == 3);
  CHECK(x.shape() == sdx::Shape{1, 3});
  CHECK(status_of([&] { static_cast<void>(x.data<int32_t>()); }, "float32, not int32") ==
        sdx::Status::invalid_argument);
  CHECK(status_of([] { sdx::Tensor::from<float>({2}, {1}); }, "8 bytes, not 4") ==
        sdx::Status::invalid_argument);
  CHECK(status_of([] { sdx::Tensor(sdx::DType::float32, {-1}); }, "negative") ==
        sdx::Status::invalid_argument);
  CHECK(status_of(
            [] {
              sdx::Tensor(sdx::DType::uint8, {1LL << 40, 1LL << 40});
            },
            "too large") == sdx::Status::invalid_argument);
  CHECK(*sdx::Tensor::scalar<int64_t>(7).data<int64_t>() == 7);
  CHECK(sdx::Tensor::scalar(true).dtype() == sdx::DType::boolean);
  CHECK(sdx::Tensor(sdx::DType::float32, {0, 3}).size() == 0);
  CHECK(floats(model(sdx::Tensor(sdx::DType::float32, {0, 3}))).empty());
  model.trim();

  const auto ten = sdx::Tensor::from<float>({3}, {10, 10, 10});
  sdx::Session other(folder + "/plain.onnx", sdx::Options().dim("n", 1).weight("w", ten));
  CHECK(floats(other(x)) == std::vector<float>{11, 12, 13});
  sdx::Session poor(folder + "/add.onnx", sdx::Options().memory_limit(1000));
  CHECK(status_of(
            [&] {
              poor(sdx::Tensor(sdx::DType::float32, {1000, 3}));
            },
            "1000") == sdx::Status::out_of_memory);
  CHECK(other.inputs().at(0).shape == sdx::Shape{1, 3});
}

void check_loading(const std::string& folder) {
  std::ifstream file(folder + "/add.onnx", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  auto model = std::make_unique<sdx::Session>(bytes.data(), bytes.size());
  sdx::Session moved = std::move(*model);
  model.reset();
  const sdx::Tensor y = moved(sdx::Tensor::from<float>({1, 3}, {0, 0, 0}));
  CHECK(floats(y) == kOnes);
  CHECK(status_of([&] { sdx::Session(bytes.data(), bytes.size() / 2); }) ==
        sdx::Status::invalid_model);
  CHECK(status_of([] { sdx::Session("no such file.onnx"); }, "no such file.onnx") ==
        sdx::Status::invalid_argument);
  CHECK(status_of([] { sdx::Options().level(9); }, "level") == sdx::Status::invalid_argument);
}

void check_functions(const std::string& folder) {
  const auto options_with = [&](const std::string& name) {
    std::ifstream file(folder + "/" + name, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    return std::move(sdx::Options().add_functions(bytes.data(), bytes.size()));
  };
  const auto x = sdx::Tensor::from<float>({1, 3}, {1, 2, 3});
  const std::string calls = folder + "/calls.onnx";
  CHECK(status_of([&] { sdx::Session{calls}; }, "test::Twice") == sdx::Status::unsupported);
  sdx::Session given(calls, options_with("twice.onnx"));
  CHECK(floats(given(x)) == std::vector<float>{2, 4, 6});
  sdx::Session own(folder + "/own.onnx", options_with("twice.onnx"));
  CHECK(floats(own(x)) == std::vector<float>{-1, -2, -3});
  CHECK(status_of([&] { sdx::Session(calls, options_with("add.onnx")); }, "no function") ==
        sdx::Status::invalid_model);
}

void check_values(const std::string& folder) {
  using sdx::Tensor;
  sdx::Session join(folder + "/join.onnx");
  const std::string odd("a\0b", 3);
  const Tensor joined =
      join(Tensor::from<std::string>({2}, {odd, "c"}), Tensor::from<std::string>({2}, {"x", "y"}));
  CHECK(joined.dtype() == sdx::DType::string && joined.raw() == nullptr && joined.bytes() == 0);
  CHECK(joined.strings() == std::vector<std::string>{odd + "x", "cy"});
  std::vector<sdx::Value> text{Tensor(sdx::DType::string, {2})};
  join.run_into({joined, joined}, text);
  CHECK(text[0].tensor().strings()[1] == "cycy");

  sdx::Session append(folder + "/append.onnx");
  const Tensor item = Tensor::from<float>({1}, {5});
  const auto longer =
      append.run({sdx::Value::sequence({item, Tensor::from<float>({2}, {6, 7})}), item}).at(0);
  CHECK(longer.kind() == sdx::Kind::sequence && longer.items().size() == 3);
  CHECK(floats(longer.items().at(1)) == std::vector<float>{6, 7});
  const auto empty = sdx::Value::sequence({}, sdx::DType::float32);
  CHECK(append.run({empty, item}).at(0).items().size() == 1);
  CHECK(status_of([&] { append.run({item, item}); }, "sequence") == sdx::Status::invalid_argument);

  sdx::Session zip(folder + "/zip.onnx");
  const auto maps = zip.run({Tensor::from<float>({1, 2}, {0.25, 0.75})}).at(0).items();
  CHECK(maps.size() == 1 && maps[0].kind() == sdx::Kind::map);
  CHECK(maps[0].keys().strings() == std::vector<std::string>{"cat", "dog"});
  CHECK(floats(maps[0].values()) == std::vector<float>{0.25, 0.75});

  sdx::Session unzip(folder + "/unzip.onnx");
  const auto row = unzip(
      sdx::Value::map(Tensor::from<std::string>({1}, {"dog"}), Tensor::from<float>({1}, {3})));
  CHECK(floats(row) == std::vector<float>{0, 3});
  CHECK(status_of([&] { sdx::Value::map(item, item); }, "keys") == sdx::Status::invalid_argument);

  const auto sparse = sdx::Value::sparse(item, Tensor::from<int64_t>({1}, {4}), {2, 3});
  CHECK(sparse.kind() == sdx::Kind::sparse_tensor && sparse.dense_shape() == sdx::Shape{2, 3});
  CHECK(*sparse.indices().data<int64_t>() == 4 && floats(sparse.values()) == floats(item));
  CHECK(status_of([&] {
          sdx::Value::sparse(item, Tensor::from<int64_t>({1}, {6}), {2, 3});
        }) == sdx::Status::invalid_argument);
  CHECK(sdx::Value::none().kind() == sdx::Kind::none);
}

void check_memory() {
  int released = 0;
  float memory[2] = {1, 2};
  const int64_t shape[] = {2};
  const auto release = [](void* context) { ++*static_cast<int*>(context); };
  sdx_value *value = nullptr, *shared = nullptr;
  CHECK(sdx_tensor_adopt(SDX_FLOAT32, shape, 1, memory, 4, release, &released, &value) ==
        SDX_INVALID_ARGUMENT);
  CHECK(released == 0 && value == nullptr);
  CHECK(sdx_tensor_adopt(SDX_FLOAT32, shape, 1, memory, 8, release, &released, &value) == SDX_OK);
  CHECK(sdx_value_share(value, &shared) == SDX_OK);
  sdx_value_free(value);
  CHECK(released == 0 && sdx_tensor_data(shared) == memory);
  sdx_value_free(shared);
  CHECK(released == 1);
  CHECK(sdx_tensor_create(99, shape, 1, &value) == SDX_INVALID_ARGUMENT);
  CHECK(sdx_session_load(nullptr, nullptr, nullptr) == SDX_INVALID_ARGUMENT);
  CHECK(std::string(sdx_last_error()) == "path is NULL");
  CHECK(sdx_session_run(nullptr, nullptr, nullptr, nullptr, 0, nullptr, nullptr, 0) ==
        SDX_INVALID_ARGUMENT);
  CHECK(sdx_session_input(nullptr, 0) == nullptr && sdx_info_rank(nullptr) == -1);
  sdx_session_free(nullptr);
}

void check_threads(const std::string& folder) {
  sdx::Session model(folder + "/add.onnx", sdx::Options().threads(2));
  std::vector<std::thread> threads;
  std::vector<int> wrong(8);
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const auto level = static_cast<float>(i + 1000 * static_cast<int>(t));
        const sdx::Tensor x = sdx::Tensor::from<float>({1, 3}, {level, level, level});
        wrong[t] += floats(model(x))[2] != level + 1;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(8));
}

void check_pools_and_profiles(const std::string& folder) {
  const auto x = sdx::Tensor::from<float>({1, 3}, {1, 2, 3});
  std::vector<sdx::Session> sessions;
  {
    const sdx::ThreadPool pool(3);
    for (int i = 0; i < 2; ++i)
      sessions.emplace_back(folder + "/add.onnx", sdx::Options().threads(pool));
  }
  for (sdx::Session& session : sessions) {
    CHECK(session.threads() == 3);
    CHECK(floats(session(x)) == std::vector<float>{2, 3, 4});
  }
  CHECK(status_of([] { sdx::ThreadPool(0); }, "threads") == sdx::Status::invalid_argument);

  const std::vector<sdx::Step> steps = sessions[0].profile({x});
  CHECK(steps.size() == 1 && steps[0].op == "Add" && steps[0].seconds > 0);
  CHECK(steps[0].shapes == "[1, 3], [3] -> [1, 3]" && steps[0].value_bytes == 24);
  CHECK(status_of([&] { sessions[0].profile({}); }, "'x'") == sdx::Status::invalid_argument);
  CHECK(sdx_profile_count(nullptr) == 0);

  const sdx_memory use = sessions[0].memory();
  CHECK(use.plans >= 1 && use.running == 0 && use.idle >= 0 && use.own_weights >= 0);
  CHECK(sessions[0].cache(0).empty() && sessions[0].cache(9).empty());
  sdx::Run run;
  run.memory_limit(4);
  CHECK(status_of([&] { sessions[0].run({x}, &run); }) == sdx::Status::out_of_memory);
  run.memory_limit(0);
  CHECK(sessions[0].run({x}, &run).size() == 1);
}

void check_cancellation(const std::string& folder) {
  using Clock = std::chrono::steady_clock;
  sdx::Session model(folder + "/forever.onnx");
  sdx::Run run;
  Clock::time_point cancelled;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancelled = Clock::now();
    run.cancel();
  });
  const sdx::Feeds none;
  CHECK(status_of([&] { model.run(none, {}, &run); }, "cancelled") == sdx::Status::cancelled);
  const auto stopped = Clock::now();
  other.join();
  CHECK(stopped - cancelled < std::chrono::milliseconds(500));
  CHECK(status_of([&] { model.run(none, {}, &run); }) == sdx::Status::cancelled);
  run.reset();
  run.timeout(0.05);
  CHECK(status_of([&] { model.run(none, {}, &run); }, "0.05 seconds") == sdx::Status::timeout);
  run.timeout(-1);
  sdx::Session add(folder + "/add.onnx");
  CHECK(floats(add.run({sdx::Tensor::from<float>({1, 3}, {0, 0, 0})}, &run)[0]) == kOnes);
}

}  // namespace

int main(int, char** argv) {
  const std::string folder = argv[1];
  check_declarations(folder);
  check_tensors(folder);
  check_loading(folder);
  check_functions(folder);
  check_values(folder);
  check_memory();
  check_threads(folder);
  check_pools_and_profiles(folder);
  check_cancellation(folder);
  std::cout << (failures ? "failed" : "all is well") << '\n';
  return failures != 0;
}
