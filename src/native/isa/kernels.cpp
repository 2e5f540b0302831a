// The kernels of one instruction set.
#include "backward.hpp"
#include "forward.hpp"
#include "linear.hpp"

#define RECURRA_QUOTE_(name) #name
#define RECURRA_QUOTE(name) RECURRA_QUOTE_(name)

namespace recurra {
namespace RECURRA_ISA {
namespace {

template <class T>
void forward(const Problem& problem) {
  Forward<T>(problem).run();
}
template <class T>
void backward(const Problem& problem) {
  Backward<T>(problem).run();
}
template <class T>
int64_t packed_size(const Problem& problem) {
  return Forward<T>(problem).packed_size();
}
template <class T>
int num_units(const Problem& problem) {
  return Scan<T>(problem).num_units;
}
template <class T>
void pack(const Problem& problem) {
  Forward<T>(problem).pack_all();
}
template <class T>
void activation(bool is_tanh, const void* source, void* target, int64_t count) {
  const T* from = static_cast<const T*>(source);
  T* to = static_cast<T*>(target);
  for_vectors<T>(0, count, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
    constexpr bool kFull = decltype(full)::value;
    const Vec<T> x = load_part<kFull>(from + j, n);
    store_part<kFull>(to + j, is_tanh ? tanh<T>(x) : sigmoid<T>(x), n);
  });
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {RECURRA_QUOTE(RECURRA_ISA),
                         {forward<float>, forward<double>},
                         {backward<float>, backward<double>},
                         {packed_size<float>, packed_size<double>},
                         {num_units<float>, num_units<double>},
                         {pack<float>, pack<double>},
                         {activation<float>, activation<double>},
                         {linear_forward<float>, linear_forward<double>},
                         {linear_backward<float>, linear_backward<double>}};

}  // namespace RECURRA_ISA
}  // namespace recurra
