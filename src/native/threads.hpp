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

// Memory aligned to 64 bytes. Throws std::bad_alloc.
void* allocate(int64_t bytes);
void release(void* memory);

}  // namespace recurra
