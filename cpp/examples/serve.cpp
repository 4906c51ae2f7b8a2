// The heart of a server: many threads answer requests from one queue with one session. Each keeps
// its own tensors, so that an answer allocates nothing but its place in the queue, and requests
// that have waited too long are cancelled.
//
//   serve MODEL.onnx [THREADS [REQUESTS]]
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <iostream>
#include <mutex>
#include <queue>
#include <sardonyx/sardonyx.hpp>
#include <thread>

namespace {

struct Request {
  float level = 0;             // of every element of the input
  std::promise<float> answer;  // the first element of the output
};

class Server {
 public:
  Server(const std::string& path, int threads)
      // Requests run side by side, so each takes one thread.
      : model_(path, sdx::Options().threads(1)) {
    for (int i = 0; i < threads; ++i) workers_.emplace_back([this] { work(); });
  }

  ~Server() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  std::future<float> ask(float level) {
    Request request;
    request.level = level;
    std::future<float> answer = request.answer.get_future();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      requests_.push(std::move(request));
    }
    changed_.notify_one();
    return answer;
  }

  // Gives up what is running; later requests fail at once.
  void cancel() { run_.cancel(); }

 private:
  void work() {
    sdx::Shape shape = model_.inputs().at(0).shape;
    for (int64_t& dim : shape) dim = dim < 0 ? 1 : dim;
    sdx::Tensor input(sdx::DType::float32, shape);
    const std::vector<sdx::Value> inputs{input};
    std::vector<sdx::Value> outputs(1);  // empty at first: the first run makes the tensor
    while (true) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !requests_.empty(); });
      if (requests_.empty()) return;
      Request request = std::move(requests_.front());
      requests_.pop();
      lock.unlock();
      try {
        for (float& element : input.items<float>()) element = request.level;
        model_.run_into(inputs, outputs, &run_);
        request.answer.set_value(*outputs[0].tensor().data<float>());
      } catch (...) {
        request.answer.set_exception(std::current_exception());
      }
    }
  }

  sdx::Session model_;
  sdx::Run run_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<Request> requests_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2 || argc > 4) {
    std::cerr << "usage: serve MODEL.onnx [THREADS [REQUESTS]]\n";
    return 2;
  }
  const int threads = argc > 2 ? std::stoi(argv[2]) : 4;
  const int requests = argc > 3 ? std::stoi(argv[3]) : 1000;
  constexpr int kLevels = 8;  // so that every question is asked many times

  Server server(argv[1], threads);
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::future<float>> answers;
  for (int i = 0; i < requests; ++i)
    answers.push_back(server.ask(static_cast<float>(i % kLevels) / kLevels));
  std::vector<float> first;
  int different = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const float answer = answers[i].get();
    if (i < kLevels)
      first.push_back(answer);
    else
      different += answer != first[i % kLevels];
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cout << requests << " requests by " << threads << " threads, " << requests / seconds.count()
            << " a second, " << different << " answers differ from the first of their kind\n";

  server.cancel();
  try {
    server.ask(0).get();
  } catch (const sdx::Error& error) {
    std::cout << "after cancelling: " << error.what() << '\n';
    return different || error.status() != sdx::Status::cancelled;
  }
  return 1;
} catch (const std::exception& error) {
  std::cerr << "serve: " << error.what() << '\n';
  return 1;
}
