// The loops of the scan over a block of K steps: forward in time, and the adjoint back. __init__.py says what they compute.
//
// Three parts: vectors with exp, sigmoid and tanh; the product y += x W; the cells. One thread. A row is computed by the
// same operations whatever the other rows are and however many: the same bits in every batch, and NaN stays in its row.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>

namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64, TALL = 6;  // a tile of 6 x 4 sums and 4 weights: 28 of the 32 registers
#elif defined(__AVX__)
constexpr int BYTES = 32, TALL = 2;  // 16 registers
#elif defined(__aarch64__)
constexpr int BYTES = 16, TALL = 6;
#else
constexpr int BYTES = 16, TALL = 2;
#endif
constexpr int WIDE = 4;  // vectors in a row of a tile: 4 chains of sums hide most of the latency even of a single row

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

// ---- vectors

template <class T> inline Vector<T> load(const T* from, long lanes) {
  Vector<T> v{};
  if (lanes == LANES<T>) std::memcpy(&v, from, sizeof v);
  else std::memcpy(&v, from, lanes * sizeof(T));  // the end of a row
  return v;
}

template <class T> inline void store(T* to, Vector<T> v, long lanes) {
  if (lanes == LANES<T>) std::memcpy(to, &v, sizeof v);
  else std::memcpy(to, &v, lanes * sizeof(T));
}

// exp(x) = 2 s (1 + p) with s = 2^(n-1), n = round(x / ln 2) and p = expm1(x - n ln 2): half of 2^n, which could overflow
// where exp(x) does not. p by its Taylor series, whose first term left out is below a fifth of the last place.
template <class T> struct Exp { Vector<T> s, p; };

template <class T> inline Exp<T> exp_parts(Vector<T> x) {
  using C = Types<T>;
  const T shift = T(3) * T(1ull << (C::mantissa - 1));  // adding it rounds to an integer, which is in the last bits then
  Vector<T> shifted = x * T(1.4426950408889634074) + shift, n = shifted - shift;
  Vector<T> r = x - n * C::ln2_high - n * C::ln2_low;
  constexpr T factorial[] = {1, 1, 2, 6, 24, 120, 720, 5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800};
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

// ---- the product

// R rows times N vectors of columns. A narrow tile runs over the depth in several chains, so that there are 4 R sums.
template <class T, int R, int N>
inline void tile(const T* x, long ldx, const Vector<T>* w, long depth, T* y, long ldy, long columns) {
  constexpr int CHAINS = WIDE / N;
  Vector<T> sum[CHAINS][R][N] = {};
  auto add = [&](int chain, long k) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[chain][r][n] += x[r * ldx + k] * w[k * N + n];
  };
  long k = 0;
  for (; k + CHAINS <= depth; k += CHAINS)
#pragma GCC unroll 8
    for (int chain = 0; chain < CHAINS; ++chain) add(chain, k + chain);
  for (; k < depth; ++k) add(0, k);
#pragma GCC unroll 8
  for (int chain = 1; chain < CHAINS; ++chain)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[0][r][n] += sum[chain][r][n];
  auto finish = [&](auto lanes) __attribute__((always_inline)) {  // those of the last vector
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        T* at = y + r * ldy + n * LANES<T>;
        const long count = n < N - 1 ? LANES<T> : long(lanes);
        store<T>(at, load<T>(at, count) + sum[0][r][n], count);
      }
  };
  if (columns >= N * LANES<T>) finish(std::integral_constant<long, LANES<T>>{});
  else finish(columns - (N - 1) * LANES<T>);
}

template <class T, int N, int R = TALL>
void all_rows(const T* x, long ldx, const Vector<T>* w, long depth, T* y, long ldy, long columns, long rows) {
  for (; rows >= R; rows -= R, x += R * ldx, y += R * ldy) tile<T, R, N>(x, ldx, w, depth, y, ldy, columns);
  if constexpr (R > 1)
    if (rows) all_rows<T, N, R - 1>(x, ldx, w, depth, y, ldy, columns, rows);
}

// y += x W with W [depth, columns] in panels of WIDE vectors: a tile reads its weights in the order in which they lie.
// Packing costs as much as one or two rows of one step.
template <class T> class Product {
 public:
  Product(const T* W, long depth, long columns) : depth(depth), columns(columns) {
    const long vectors = (columns + LANES<T> - 1) / LANES<T>;
    packed.reset(static_cast<Vector<T>*>(std::aligned_alloc(BYTES, vectors * depth * BYTES)));
    Vector<T>* to = packed.get();
    for (long first = 0; first < columns; first += WIDE * LANES<T>)
      for (long k = 0; k < depth; ++k)
        for (long c = first; c < std::min(columns, first + WIDE * LANES<T>); c += LANES<T>)
          *to++ = load<T>(W + k * columns + c, std::min(LANES<T>, columns - c));
  }

  void add(const T* x, long ldx, T* y, long ldy, long rows) const {
    const Vector<T>* w = packed.get();
    for (long first = 0; first < columns; first += WIDE * LANES<T>, w += WIDE * depth) {
      const long left = columns - first;
      auto* run = left > 3 * LANES<T> ? all_rows<T, 4> : left > 2 * LANES<T> ? all_rows<T, 3>
                : left > LANES<T> ? all_rows<T, 2> : all_rows<T, 1>;
      run(x, ldx, w, depth, y + first, ldy, left, rows);
    }
  }

 private:
  struct Free { void operator()(void* p) const { std::free(p); } };
  long depth, columns;
  std::unique_ptr<Vector<T>, Free> packed;
};

// ---- the cells

template <class T, class F> inline void lanes_of(long H, F f) {  // twice, for whole vectors and for the end of a row
  long j = 0;
  for (; j + LANES<T> <= H; j += LANES<T>) f(j, std::integral_constant<long, LANES<T>>{});
  if (j < H) f(j, H - j);
}

template <class T> struct Block {  // row-major: weights as in __init__.py, tape [K, B, R], states and a [K+1, B, S], delta [K, B, D]
  const T* const* weights;
  T *tape, *states, *a, *delta;
  long K, B, H;
};

enum Kind { TANH, RELU, SIGMOID, IDENTITY, LSTM, GRU };

template <class T, Kind G> void elman_forward(const Block<T>& b) {
  const Product<T> W(b.weights[1], b.H, b.H);
  const long size = b.B * b.H;
  for (long k = 0; k < b.K; ++k) {
    T *before = b.states + k * size, *after = before + size;
    W.add(before, b.H, after, b.H, b.B);
    if constexpr (G != IDENTITY)
      lanes_of<T>(size, [&](long j, auto lanes) {
        Vector<T> h = load<T>(after + j, lanes);
        if constexpr (G == TANH) h = tanh<T>(h);
        if constexpr (G == SIGMOID) h = sigmoid<T>(h);
        if constexpr (G == RELU) h = h < 0 ? Vector<T>{} : h;
        store<T>(after + j, h, lanes);
      });
  }
}

template <class T, Kind G> void elman_backward(const Block<T>& b) {
  const Product<T> W(b.weights[0], b.H, b.H);
  const long size = b.B * b.H;
  for (long k = b.K - 1; k >= 0; --k) {
    const T *after = b.states + (k + 1) * size, *late = b.a + (k + 1) * size;
    T* delta = b.delta + k * size;
    lanes_of<T>(size, [&](long j, auto lanes) {
      Vector<T> h = load<T>(after + j, lanes), slope = Vector<T>{} + 1;
      if constexpr (G == TANH) slope = 1 - h * h;
      if constexpr (G == SIGMOID) slope = h - h * h;
      if constexpr (G == RELU) slope = h > 0 ? slope : Vector<T>{};
      store<T>(delta + j, slope * load<T>(late + j, lanes), lanes);
    });
    W.add(delta, b.H, b.a + k * size, b.H, b.B);
  }
}

template <class T> void lstm_forward(const Block<T>& b) {
  const long H = b.H, size = b.B * 2 * H;
  const Product<T> W(b.weights[1], H, 4 * H);
  for (long k = 0; k < b.K; ++k) {
    T *before = b.states + k * size, *after = before + size, *tape = b.tape + k * b.B * 5 * H;
    W.add(before, 2 * H, tape, 5 * H, b.B);
    for (long row = 0; row < b.B; ++row, before += 2 * H, after += 2 * H, tape += 5 * H)
      lanes_of<T>(H, [&](long j, auto lanes) {
        Vector<T> i = sigmoid<T>(load<T>(tape + j, lanes)), f = sigmoid<T>(load<T>(tape + H + j, lanes));
        Vector<T> g = tanh<T>(load<T>(tape + 2 * H + j, lanes)), o = sigmoid<T>(load<T>(tape + 3 * H + j, lanes));
        Vector<T> c = f * load<T>(before + H + j, lanes) + i * g, m = tanh<T>(c);
        store<T>(tape + j, i, lanes);
        store<T>(tape + H + j, f, lanes);
        store<T>(tape + 2 * H + j, g, lanes);
        store<T>(tape + 3 * H + j, o, lanes);
        store<T>(tape + 4 * H + j, m, lanes);
        store<T>(after + j, o * m, lanes);
        store<T>(after + H + j, c, lanes);
      });
  }
}

template <class T> void lstm_backward(const Block<T>& b) {
  const long H = b.H, size = b.B * 2 * H;
  const Product<T> W(b.weights[0], 4 * H, H);
  for (long k = b.K - 1; k >= 0; --k) {
    for (long row = 0; row < b.B; ++row) {
      const T *before = b.states + k * size + row * 2 * H, *tape = b.tape + (k * b.B + row) * 5 * H;
      T *early = b.a + k * size + row * 2 * H, *late = early + size, *delta = b.delta + (k * b.B + row) * 4 * H;
      lanes_of<T>(H, [&](long j, auto lanes) {
        Vector<T> i = load<T>(tape + j, lanes), f = load<T>(tape + H + j, lanes), g = load<T>(tape + 2 * H + j, lanes);
        Vector<T> o = load<T>(tape + 3 * H + j, lanes), m = load<T>(tape + 4 * H + j, lanes);
        Vector<T> a_h = load<T>(late + j, lanes);
        Vector<T> a_c = load<T>(late + H + j, lanes) + a_h * (o - o * m * m);  // with the path through h
        store<T>(delta + j, (i - i * i) * g * a_c, lanes);
        store<T>(delta + H + j, (f - f * f) * load<T>(before + H + j, lanes) * a_c, lanes);
        store<T>(delta + 2 * H + j, (i - i * g * g) * a_c, lanes);
        store<T>(delta + 3 * H + j, (o - o * o) * m * a_h, lanes);
        store<T>(early + H + j, load<T>(early + H + j, lanes) + f * a_c, lanes);
      });
    }
    W.add(b.delta + k * b.B * 4 * H, 4 * H, b.a + k * size, 2 * H, b.B);
  }
}

template <class T> void gru_forward(const Block<T>& b) {
  const long H = b.H, size = b.B * H;
  const Product<T> W_ru(b.weights[1], H, 2 * H), W_n(b.weights[2], H, H);
  for (long k = 0; k < b.K; ++k) {
    T *before = b.states + k * size, *after = before + size, *tape = b.tape + k * 4 * size;
    for (long row = 0; row < b.B; ++row) std::copy_n(b.weights[3], H, tape + row * 4 * H + 3 * H);
    W_ru.add(before, H, tape, 4 * H, b.B);
    W_n.add(before, H, tape + 3 * H, 4 * H, b.B);
    for (long row = 0; row < b.B; ++row, before += H, after += H, tape += 4 * H)
      lanes_of<T>(H, [&](long j, auto lanes) {
        Vector<T> r = sigmoid<T>(load<T>(tape + j, lanes)), u = sigmoid<T>(load<T>(tape + H + j, lanes));
        Vector<T> n = tanh<T>(load<T>(tape + 2 * H + j, lanes) + r * load<T>(tape + 3 * H + j, lanes));
        Vector<T> h = load<T>(before + j, lanes);
        store<T>(tape + j, r, lanes);
        store<T>(tape + H + j, u, lanes);
        store<T>(tape + 2 * H + j, n, lanes);
        store<T>(after + j, u < T(0.5) ? n + u * (h - n) : h - (h - n) * (1 - u), lanes);  // exact at both ends
      });
  }
}

template <class T> void gru_backward(const Block<T>& b) {
  const long H = b.H, size = b.B * H;
  const Product<T> W(b.weights[0], 3 * H, H);
  for (long k = b.K - 1; k >= 0; --k) {
    for (long row = 0; row < b.B; ++row) {
      const T *before = b.states + k * size + row * H, *tape = b.tape + (k * b.B + row) * 4 * H;
      T *early = b.a + k * size + row * H, *late = early + size, *delta = b.delta + (k * b.B + row) * 4 * H;
      lanes_of<T>(H, [&](long j, auto lanes) {
        Vector<T> r = load<T>(tape + j, lanes), u = load<T>(tape + H + j, lanes), n = load<T>(tape + 2 * H + j, lanes);
        Vector<T> a = load<T>(late + j, lanes), d_n = (1 - u) * (1 - n * n) * a;
        store<T>(delta + j, d_n * load<T>(tape + 3 * H + j, lanes) * r * (1 - r), lanes);
        store<T>(delta + H + j, (load<T>(before + j, lanes) - n) * u * (1 - u) * a, lanes);
        store<T>(delta + 2 * H + j, d_n * r, lanes);
        store<T>(delta + 3 * H + j, d_n, lanes);
        store<T>(early + j, load<T>(early + j, lanes) + u * a, lanes);
      });
    }
    W.add(b.delta + k * 4 * size, 4 * H, b.a + k * size, H, b.B);
  }
}

template <class T> void run(int kind, bool back, const Block<T>& b) {
  switch (kind) {
    case TANH: return back ? elman_backward<T, TANH>(b) : elman_forward<T, TANH>(b);
    case RELU: return back ? elman_backward<T, RELU>(b) : elman_forward<T, RELU>(b);
    case SIGMOID: return back ? elman_backward<T, SIGMOID>(b) : elman_forward<T, SIGMOID>(b);
    case IDENTITY: return back ? elman_backward<T, IDENTITY>(b) : elman_forward<T, IDENTITY>(b);
    case LSTM: return back ? lstm_backward(b) : lstm_forward(b);
    case GRU: return back ? gru_backward(b) : gru_forward(b);
  }
}

}  // namespace

#define LOOP(NAME, T)                                                                                             \
  extern "C" void NAME(int kind, int back, const T* const* weights, T* tape, T* states, T* a, T* delta, long K,  \
                       long B, long H) {                                                                          \
    run<T>(kind, back, {weights, tape, states, a, delta, K, B, H});                                               \
  }
LOOP(rnnlab_float32, float)
LOOP(rnnlab_float64, double)
