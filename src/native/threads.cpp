#include "threads.hpp"

#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#define RECURRA_POSIX 1
#endif

namespace recurra {
namespace {

struct Job {
  void (*function)(int, void*);
  void* argument;
};

using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
using ThreadNumber = int (*)();

struct Pool {
  Parallel parallel = nullptr;
  ThreadNumber thread_number = nullptr;
  ThreadNumber num_threads = nullptr;
};

std::atomic<bool> forked{false};

Pool find_pool() {
  Pool pool;
#ifdef RECURRA_POSIX
  // A child of fork() has the pool's locks but not its threads: it must not enter the pool.
  pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
  // torch loads its OpenMP runtime with global symbols; a second runtime would fight its spinning workers.
  pool.parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  pool.thread_number = reinterpret_cast<ThreadNumber>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
  pool.num_threads = reinterpret_cast<ThreadNumber>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
  if (pool.thread_number == nullptr || pool.num_threads == nullptr) pool.parallel = nullptr;
#endif
  return pool;
}

const Pool& pool() {
  static const Pool found = find_pool();
  return found;
}

struct PoolJob {
  Job job;
  int count;
  bool done;
};

// The runtime may give fewer threads than asked for; those that meet at barriers would wait for ever, so that the
// number is checked before any work begins.
void enter(void* argument) {
  auto* work = static_cast<PoolJob*>(argument);
  if (pool().num_threads() == work->count) {
    const int index = pool().thread_number();
    work->job.function(index, work->job.argument);
    if (index == 0) work->done = true;
  }
}

void run_threads(int count, Job job) {
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(count) - 1);
  for (int index = 1; index < count; index++) threads.emplace_back(job.function, index, job.argument);
  job.function(0, job.argument);
  for (auto& thread : threads) thread.join();
}

}  // namespace

void run_parallel(int count, void (*function)(int, void*), void* argument) {
  if (count <= 1) return function(0, argument);
  if (pool().parallel != nullptr && !forked.load(std::memory_order_relaxed)) {
    PoolJob work{{function, argument}, count, false};
    pool().parallel(enter, &work, static_cast<unsigned>(count), 0);
    if (work.done) return;
  }
  run_threads(count, {function, argument});
}

bool shares_pool() { return pool().parallel != nullptr; }

void Barrier::wait() {
  if (count_ == 1) return;
  const int round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == count_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; round_.load(std::memory_order_acquire) == round; spins++) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
#ifdef RECURRA_POSIX
    if (spins > 2000) sched_yield();
#else
    if (spins > 2000) std::this_thread::yield();
#endif
  }
}

namespace {

struct Kept {
  char* data = nullptr;
  int64_t bytes = 0;
  ~Kept() { std::free(data); }
};
thread_local Kept kept;
constexpr int64_t kKeptBytes = int64_t{128} << 20;

}  // namespace

Scratch::Scratch(int64_t bytes) : data_(kept.data), bytes_(kept.bytes) {
  kept.data = nullptr;
  kept.bytes = 0;
  if (bytes_ >= bytes && data_ != nullptr) return;
  std::free(data_);
  bytes_ = (bytes + 4095) / 4096 * 4096;
  data_ = static_cast<char*>(std::aligned_alloc(64, static_cast<size_t>(bytes_)));
  if (data_ == nullptr) throw std::bad_alloc();
}

Scratch::~Scratch() {
  if (kept.data != nullptr || bytes_ > kKeptBytes) {
    std::free(data_);
    return;
  }
  kept.data = data_;
  kept.bytes = bytes_;
}

}  // namespace recurra
