// One step of a stack of cells whose states stay in memory: all but the inputs is known before, so that a step costs
// little more than its arithmetic.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "problem.hpp"

namespace recurra {

class Step {
 public:
  // A cell. Its problem is one step of all states: `x` and `y` are buffers for its inputs and outputs, the latter those
  // of the next cell; the states `h0` and `c0` are changed in place.
  struct Layer {
    Problem problem;
    bool adds_input;  // to its outputs, as the next cell and the caller see them
  };

  Step(bool is_double, std::vector<Layer> layers);

  int64_t num_states() const { return layers_.front().problem.B; }
  // Multiplications of one row.
  int64_t work() const { return work_; }

  // Why a step was not done.
  enum Fault { kNone, kWrongRows, kChangedWeights };
  // Takes `count` rows of inputs, `stride` elements apart, for the states of those `rows`, each of them once, or for the
  // first ones where that is null. Weights that have changed since the construction are noticed by some numbers of each.
  Fault run(const void* x, int64_t stride, int64_t count, const int64_t* rows);

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  using Memory = std::unique_ptr<char, Free>;
  static Memory allocate(int64_t bytes);

  void sample(int64_t weight, int64_t count);
  bool is_current() const;
  bool mark(int64_t count, const int64_t* rows);
  void run_layer(size_t index, int64_t count, const int64_t* rows);
  int64_t pack(size_t index, Problem problem);
  void add_inputs(const Problem& problem);

  // A number of a packed weight, as it was.
  struct Sample {
    const char* place;
    uint64_t bits;
  };

  const bool is_double_;
  const int64_t item_;  // bytes of a scalar
  std::vector<Layer> layers_;
  std::vector<std::map<int, Memory>> packed_;  // weights, by how many threads share the units of a row
  std::vector<Sample> samples_;
  Memory h_, c_;                               // states of the rows asked for
  std::vector<uint64_t> seen_;                 // the call that last named each row
  uint64_t call_ = 0;
  int64_t work_ = 0;
};

}  // namespace recurra
