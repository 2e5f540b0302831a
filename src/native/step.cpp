#include "step.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "dispatch.hpp"
#include "layout.hpp"

namespace recurra {
namespace {

void* pointer(int64_t address) { return reinterpret_cast<void*>(address); }

// Rows of `bytes` each: the i-th from or to place rows[i].
void gather(char* target, const char* source, int64_t bytes, int64_t count, const int64_t* rows) {
  for (int64_t i = 0; i < count; i++) std::memcpy(target + i * bytes, source + rows[i] * bytes, bytes);
}
void scatter(char* target, const char* source, int64_t bytes, int64_t count, const int64_t* rows) {
  for (int64_t i = 0; i < count; i++) std::memcpy(target + rows[i] * bytes, source + i * bytes, bytes);
}

template <class T>
void add(int64_t target, int64_t source, int64_t count) {
  T* to = static_cast<T*>(pointer(target));
  const T* from = static_cast<const T*>(pointer(source));
  for (int64_t i = 0; i < count; i++) to[i] += from[i];
}

}  // namespace

Step::Step(bool is_double, std::vector<Layer> layers)
    : is_double_(is_double),
      item_(is_double ? sizeof(double) : sizeof(float)),
      layers_(std::move(layers)),
      packed_(layers_.size()),
      seen_(static_cast<size_t>(num_states())) {
  int64_t h = 0, c = 0;
  for (const Layer& layer : layers_) {
    const Problem& p = layer.problem;
    h = std::max(h, p.O);
    if (p.c0 != 0) c = std::max(c, p.H);
    const int64_t rows = layout_of(p).num_gates * p.H;
    work_ += rows * (p.I + p.O);
    sample(p.w_ih, rows * p.I);
    sample(p.w_hh, rows * p.O);
    if (p.w_hr != 0) sample(p.w_hr, p.O * p.H);
  }
  h_ = allocate(num_states() * h * item_);
  c_ = allocate(num_states() * c * item_);
}

Step::Memory Step::allocate(int64_t bytes) {
  Memory memory(static_cast<char*>(std::aligned_alloc(64, static_cast<size_t>(bytes / 64 + 2) * 64)));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void Step::sample(int64_t weight, int64_t count) {
  const int64_t distance = std::max<int64_t>(count / 16, 1);
  for (int64_t i = 0; i < count; i += distance) {
    Sample sample{static_cast<const char*>(pointer(weight)) + i * item_, 0};
    std::memcpy(&sample.bits, sample.place, static_cast<size_t>(item_));
    samples_.push_back(sample);
  }
}

bool Step::is_current() const {
  for (const Sample& sample : samples_) {
    if (std::memcmp(&sample.bits, sample.place, static_cast<size_t>(item_)) != 0) return false;
  }
  return true;
}

Step::Fault Step::run(const void* x, int64_t stride, int64_t count, const int64_t* rows) {
  if (count == 0) return kNone;
  if (count > num_states() || (rows != nullptr && !mark(count, rows))) return kWrongRows;
  if (!is_current()) return kChangedWeights;
  const Problem& first = layers_.front().problem;
  // A copy, as the inputs may be the last step's outputs, which this one overwrites.
  for (int64_t i = 0; i < count; i++) {
    std::memmove(static_cast<char*>(pointer(first.x)) + i * first.I * item_,
                 static_cast<const char*>(x) + i * stride * item_, static_cast<size_t>(first.I * item_));
  }
  for (size_t i = 0; i < layers_.size(); i++) run_layer(i, count, rows);
  return kNone;
}

bool Step::mark(int64_t count, const int64_t* rows) {
  call_++;
  for (int64_t i = 0; i < count; i++) {
    if (rows[i] < 0 || rows[i] >= num_states()) return false;
    uint64_t& seen = seen_[static_cast<size_t>(rows[i])];
    if (seen == call_) return false;
    seen = call_;
  }
  return true;
}

void Step::run_layer(size_t index, int64_t count, const int64_t* rows) {
  Problem problem = layers_[index].problem;
  char *h = static_cast<char*>(pointer(problem.h0)), *c = static_cast<char*>(pointer(problem.c0));
  const int64_t h_bytes = problem.O * item_, c_bytes = problem.H * item_;
  problem.B = count;
  if (rows != nullptr) {
    gather(h_.get(), h, h_bytes, count, rows);
    problem.h0 = reinterpret_cast<int64_t>(h_.get());
    if (c != nullptr) {
      gather(c_.get(), c, c_bytes, count, rows);
      problem.c0 = reinterpret_cast<int64_t>(c_.get());
    }
  }
  // The kernel writes the state after a row's last step only once nobody reads the one before it.
  problem.h_T = problem.h0;
  problem.c_T = problem.c0;
  problem.packed = pack(index, problem);
  kernels().forward[is_double_](problem);
  if (rows != nullptr) {
    scatter(h, h_.get(), h_bytes, count, rows);
    if (c != nullptr) scatter(c, c_.get(), c_bytes, count, rows);
  }
  if (layers_[index].adds_input) add_inputs(problem);
}

// The packed weights in the order that this many rows want.
int64_t Step::pack(size_t index, Problem problem) {
  Memory& memory = packed_[index][kernels().num_units[is_double_](problem)];
  if (memory == nullptr) {
    Memory fresh = allocate(kernels().packed_size[is_double_](problem) * item_);
    problem.packed = reinterpret_cast<int64_t>(fresh.get());
    kernels().pack[is_double_](problem);
    memory = std::move(fresh);
  }
  return reinterpret_cast<int64_t>(memory.get());
}

void Step::add_inputs(const Problem& problem) {
  (is_double_ ? add<double> : add<float>)(problem.y, problem.x, problem.B * problem.O);
}

}  // namespace recurra
