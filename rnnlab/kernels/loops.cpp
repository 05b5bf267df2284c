// The loops of the scan over a block of K steps: forward in time, and the adjoint back. One thread, in place.
// What they compute, and the columns of each array, stands in __init__.py.

#include "product.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace {

struct Flushed {  // subnormal numbers are 0 while this lives: arithmetic on them is 5 to 10 times slower
#if defined(__SSE__)
  unsigned before = _mm_getcsr();
  Flushed() { _mm_setcsr(before | 0x8040); }  // results and arguments
  ~Flushed() { _mm_setcsr(before); }
#elif defined(__aarch64__)
  unsigned long before;
  Flushed() {
    asm volatile("mrs %0, fpcr" : "=r"(before));
    asm volatile("msr fpcr, %0" ::"r"(before | 1ul << 24));
  }
  ~Flushed() { asm volatile("msr fpcr, %0" ::"r"(before)); }
#endif
};

template <class T, class F> inline void lanes_of(long H, F f) {  // twice, for whole vectors and for the end of a row
  long j = 0;
  for (; j + LANES<T> <= H; j += LANES<T>) f(j, std::integral_constant<long, LANES<T>>{});
  if (j < H) f(j, H - j);
}

template <class T> struct Block {  // tape [K, B, R], states and a [K+1, B, S], delta [K, B, D], all row-major
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
  const Flushed now;
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
