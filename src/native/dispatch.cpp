#include "dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

#include "layout.hpp"

namespace recurra {

#if defined(__x86_64__)
namespace avx512 {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
#endif
namespace baseline {
extern const Kernels kernels;
}

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
    found.push_back(&avx512::kernels);
  }
  if (avx2) found.push_back(&avx2::kernels);
#endif
  found.push_back(&baseline::kernels);
  return found;
}

static const Kernels& choose() {
  const auto found = available_kernels();
  const char* wanted = std::getenv("RECURRA_ISA");
  if (wanted == nullptr || *wanted == '\0') return *found.front();
  std::string names;
  for (const Kernels* kernels : found) {
    if (kernels->name == std::string(wanted)) return *kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("RECURRA_ISA=" + std::string(wanted) + ": this processor has " + names +
                              ". Choose one of them, or unset it.");
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

int64_t saved_columns(const Problem& problem) { return columns_of(problem); }

}  // namespace recurra
