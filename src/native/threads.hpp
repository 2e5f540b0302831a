// Work on several threads: torch's own OpenMP pool where it can be found, else std::thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace recurra {

// Calls function(index, argument) for index 0..count-1 at the same time, and waits for all.
void run_parallel(int count, void (*function)(int index, void* argument), void* argument);

// Whether run_parallel uses the pool that torch loaded.
bool shares_pool();

// The threads of one run_parallel meet here. They spin first: a step takes microseconds.
class Barrier {
 public:
  void expect(int count) { count_ = count; }
  void wait();

 private:
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> round_{0};
  int count_ = 1;
};

// Memory for the time of a call, aligned to 64 bytes. A thread keeps its last piece for its next call, up to 128 MiB:
// to fetch the pages anew each time would take longer than many a call. Throws std::bad_alloc.
class Scratch {
 public:
  explicit Scratch(int64_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  char* data() const { return data_; }

 private:
  char* data_;
  int64_t bytes_;
};

}  // namespace recurra
