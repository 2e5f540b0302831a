// What one call of a kernel is about: sizes, options and pointers, as Python passes them.
#pragma once

#include <cstdint>

namespace recurra {

// Integers, and addresses of tensors (0 where absent), in the order in which Python passes them. Strides count elements.
#define RECURRA_FIELDS(X)                                                                                   \
  X(kind) X(T) X(B) X(I) X(H) X(O) X(threads) X(coupled) X(reverse) X(save) X(zoneout_draw) X(seed)         \
  X(x) X(x_b) X(x_t)                                                                                        \
  X(w_ih) X(w_hh) X(b_ih) X(b_hh) X(w_hr) X(peephole) X(norm_ih) X(norm_hh) X(norm_c) X(norm_c_bias)        \
  X(h0) X(c0) X(h_init) X(c_init) X(lengths) X(reset) X(mask)                                               \
  X(y) X(h_T) X(c_T) X(gates) X(cells) X(hidden) X(packed) X(packed_half)                                                  \
  X(dy) X(dy_b) X(dy_t) X(dh_T) X(dc_T) X(dx) X(dh0) X(dc0) X(dh_init) X(dc_init)                           \
  X(dw_ih) X(dw_hh) X(db_ih) X(db_hh) X(dw_hr) X(dpeephole) X(dnorm_ih) X(dnorm_hh) X(dnorm_c) X(dnorm_c_bias)

enum Kind : int64_t { kElmanTanh, kElmanRelu, kElmanSigmoid, kLSTM, kGRUAfter, kGRUBefore, kNumKinds };

struct Problem {
#define X(name) int64_t name = 0;
  RECURRA_FIELDS(X)
#undef X
  double zoneout_h = 0, zoneout_c = 0, cell_clip = 0, eps = 1e-5;
};

#define X(name) +1
constexpr int kNumFields = 0 RECURRA_FIELDS(X);
#undef X

// A linear recurrence h_t = a_t h_{t-1} + b_t over (B, T, D); complex numbers are pairs of scalars, D counts numbers,
// strides count scalars. Where da_t is 0, da is the sum over the steps.
#define RECURRA_LINEAR_FIELDS(X)                                                                            \
  X(B) X(T) X(D) X(threads) X(complex) X(reverse)                                                           \
  X(a) X(a_b) X(a_t) X(b) X(b_b) X(b_t) X(h0) X(h_init) X(lengths) X(reset)                                 \
  X(h) X(h_T)                                                                                               \
  X(dh) X(dh_b) X(dh_t) X(dh_T) X(da) X(da_t) X(db) X(dh0) X(dh_init)

struct LinearProblem {
#define X(name) int64_t name = 0;
  RECURRA_LINEAR_FIELDS(X)
#undef X
};

// The kernels of one instruction set; each exists for float and double.
struct Kernels {
  const char* name;
  void (*forward[2])(const Problem&);
  void (*backward[2])(const Problem&);
  int64_t (*packed_size[2])(const Problem&);
  // How many threads share the units of a row: all that the order of packed weights hangs on beside the cell.
  int (*num_units[2])(const Problem&);
  void (*pack[2])(const Problem&);
  void (*activation[2])(bool is_tanh, const void* source, void* target, int64_t count);
  void (*linear_forward[2])(const LinearProblem&);
  void (*linear_backward[2])(const LinearProblem&);
};

// Columns of a saved row; a multiple of 16, whatever the instruction set.
int64_t saved_columns(const Problem& problem);

}  // namespace recurra
