// Vectors of as many numbers as a register holds; sigmoid and tanh, right to 3 units in the last place over the whole
// range. NaN stays NaN, and the infinities have their limits.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64, REGISTERS = 32;
#elif defined(__AVX__)
constexpr int BYTES = 32, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int BYTES = 16, REGISTERS = 32;
#else
constexpr int BYTES = 16, REGISTERS = 16;
#endif

template <class T> struct Types;
template <> struct Types<float> {
  typedef float Vector __attribute__((vector_size(BYTES)));
  typedef uint32_t Bits __attribute__((vector_size(BYTES)));
  static constexpr int mantissa = 23, degree = 7;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;  // so that n ln2_high is exact
  static constexpr float overflow = 89, saturated = 10;                       // exp(89) = inf, tanh(10) = 1
};
template <> struct Types<double> {
  typedef double Vector __attribute__((vector_size(BYTES)));
  typedef uint64_t Bits __attribute__((vector_size(BYTES)));
  static constexpr int mantissa = 52, degree = 13;
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
  static constexpr double overflow = 710, saturated = 20;
};
template <class T> using Vector = typename Types<T>::Vector;
template <class T> using Bits = typename Types<T>::Bits;
template <class T> constexpr long LANES = BYTES / sizeof(T);

#if defined(__AVX512F__)  // n lanes, the end of a row: masks make H = 5 three times as fast as copies, H = 33 twice
inline Vector<float> load_end(const float* p, long n) {
  return (Vector<float>)_mm512_maskz_loadu_ps((1u << n) - 1, p);
}
inline Vector<double> load_end(const double* p, long n) {
  return (Vector<double>)_mm512_maskz_loadu_pd((1u << n) - 1, p);
}
inline void store_end(float* p, Vector<float> v, long n) { _mm512_mask_storeu_ps(p, (1u << n) - 1, (__m512)v); }
inline void store_end(double* p, Vector<double> v, long n) { _mm512_mask_storeu_pd(p, (1u << n) - 1, (__m512d)v); }
#else
template <class T> inline Vector<T> load_end(const T* p, long n) {
  Vector<T> v{};
  std::memcpy(&v, p, n * sizeof(T));
  return v;
}
template <class T> inline void store_end(T* p, Vector<T> v, long n) { std::memcpy(p, &v, n * sizeof(T)); }
#endif

template <class T> inline Vector<T> load(const T* from, long lanes) {
  if (lanes < LANES<T>) return load_end(from, lanes);
  Vector<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class T> inline void store(T* to, Vector<T> v, long lanes) {
  if (lanes < LANES<T>) return store_end(to, v, lanes);
  std::memcpy(to, &v, sizeof v);
}

// exp(x) = 2 s (1 + p) with n = round(x / ln 2), p = expm1(x - n ln 2) and s = 2^(n-1): 2^n could overflow where exp(x)
// does not. p by its Taylor series, whose first term left out is below a fifth of the last place.
template <class T> struct Exp { Vector<T> s, p; };

template <class T> inline Exp<T> exp_parts(Vector<T> x) {
  using C = Types<T>;
  const T shift = T(3) * T(1ull << (C::mantissa - 1));  // adding it rounds to an integer, then in the last bits
  Vector<T> shifted = x * T(1.4426950408889634074) + shift, n = shifted - shift;
  Vector<T> r = x - n * C::ln2_high - n * C::ln2_low;
  constexpr T factorial[] = {1,     1,      2,       6,        24,        120,       720,
                             5040,  40320,  362880,  3628800,  39916800,  479001600, 6227020800};
  Vector<T> p = Vector<T>{} + 1 / factorial[C::degree];
#pragma GCC unroll 16
  for (int i = C::degree - 1; i > 1; --i) p = p * r + 1 / factorial[i];
  Bits<T> s = ((Bits<T>)shifted + ((1u << (sizeof(T) == 4 ? 7 : 10)) - 2)) << C::mantissa;
  return {(Vector<T>)s, p * (r * r) + r};
}

template <class T> inline Vector<T> sigmoid(Vector<T> x) {  // 1 / (1 + exp(-x))
  x = x > T(40) ? Vector<T>{} + T(40) : x;                  // 1 already; exp(-x) must not get subnormal, that is slow
  x = x < -Types<T>::overflow ? Vector<T>{} - Types<T>::overflow : x;
  auto [s, p] = exp_parts<T>(-x);
  return 1 / ((s + s * p) * 2 + 1);
}

template <class T> inline Vector<T> tanh(Vector<T> x) {  // expm1(2x) / (expm1(2x) + 2) for x > 0, and odd
  const Bits<T> sign = (Bits<T>)x & (Bits<T>)(Vector<T>{} * -1);  // -0.0
  x = (Vector<T>)((Bits<T>)x ^ sign);
  x = x > Types<T>::saturated ? Vector<T>{} + Types<T>::saturated : x;
  auto [s, p] = exp_parts<T>(x + x);
  Vector<T> half = s * p + (s - T(0.5));
  return (Vector<T>)((Bits<T>)(half / (half + 1)) | sign);
}

}  // namespace
