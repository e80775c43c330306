/* Vectors of floats in plain C (GCC vector extensions, so also clang), and the few functions the kernels need.

   Nothing here relies on -ffast-math: NaN stays NaN, and underflow goes to zero. */

#ifndef JAMBA_VECTOR_H
#define JAMBA_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef float vec4 __attribute__((vector_size(16)));

/* Not a loop over the lanes: only this form becomes one broadcast instruction. */
INLINE vec splat(float value) { return value - (vec){0}; }

/* Rows of `count` floats; the last block of a row that is no multiple of LANES is filled up with zeros. */
static __attribute__((noinline)) vec load_part(const float *from, int count) {
    vec v = splat(0.0f);
    memcpy(&v, from, (size_t)count * sizeof(float));
    return v;
}

static __attribute__((noinline)) void store_part(float *to, vec v, int count) {
    memcpy(to, &v, (size_t)count * sizeof(float));
}

INLINE vec load(const float *from, int count) {
    vec v;
    if (count != LANES) return load_part(from, count);
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void store(float *to, vec v, int count) {
    if (count != LANES) store_part(to, v, count);
    else memcpy(to, &v, sizeof v);
}

/* mask ? a : b, where every lane of mask is all ones or all zeros, as comparisons give them. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

INLINE vec absolute(vec v) { return (vec)((ivec)v & 0x7fffffff); }

/* 2^(a b), relative error below 2e-7; zero below 2^-125, NaN for NaN, meaningless above 2^127 (decays are exp(dt A)
   with dt A <= 0).
   a b = n + f with n the nearest integer (adding 1.5 * 2^23 rounds, and leaves n in the last bits), a polynomial for
   2^f, and n added to its exponent. The polynomial is exact at f = 0 because a decay near one is a long memory: what
   counts there is the relative error of 1 - 2^f (below 1e-6). */
INLINE vec exp2_of(vec a, vec b) {
    const float rounder = 12582912.0f;
    vec rounded = a * b + splat(rounder);
    vec f = a * b - (rounded - splat(rounder)); /* the product twice: both times it is part of a multiply-add */
    vec p = splat(1.326472731307149e-3f);
    p = p * f + splat(9.671512991189957e-3f);
    p = p * f + splat(5.550733581185341e-2f);
    p = p * f + splat(2.4022242426872253e-1f);
    p = p * f + splat(6.931470036506653e-1f);
    p = p * f + splat(1.0f);
    uvec power = (uvec)p + ((uvec)rounded << 23); /* unsigned: n far below -125 wraps around */
    return (vec)(~(uvec)(rounded < splat(rounder - 125.0f)) & power);
}

#define LOG2E 1.44269504088896340736f
#define LN2 0.69314718055994530942f

INLINE vec exp_of(vec v) { return exp2_of(v, splat(LOG2E)); }

/* 1 / (1 + exp(-v)). */
INLINE vec sigmoid(vec v) {
    vec w = exp_of(-absolute(v));
    vec r = splat(1.0f) / (splat(1.0f) + w);
    return choose(v < splat(0.0f), w * r, r);
}

/* (1 - w) / (1 + w) with w = exp(-2 |v|), and the sign of v; near zero, where 1 - w has few digits, its series. */
INLINE vec tanh_of(vec v) {
    vec size = absolute(v), w = exp2_of(size, splat(-2.0f * LOG2E)), one = splat(1.0f);
    vec far = (one - w) / (one + w);
    vec q = v * v;
    vec p = splat(62.0f / 2835.0f);
    p = p * q - splat(17.0f / 315.0f);
    p = p * q + splat(2.0f / 15.0f);
    p = p * q - splat(1.0f / 3.0f);
    vec near = v + v * q * p;
    return choose(size < splat(0.25f), near, choose(v < splat(0.0f), -far, far));
}

/* log(1 + exp(v)) = max(v, 0) + log1p(w), w = exp(-|v|); log1p(w) = 2 artanh(s), s = w / (2 + w) <= 1/3.
   Writes the derivative, sigmoid(v), to *slope. */
INLINE vec softplus(vec v, vec *slope) {
    vec zero = splat(0.0f), one = splat(1.0f);
    vec w = exp_of(-absolute(v)), w1 = w + one, w2 = w1 + one;
    vec both = one / (w1 * w2); /* 1 / (1 + w) and 1 / (2 + w) for one division */
    *slope = choose(v < zero, w, one) * w2 * both;
    vec s = w * w1 * both, q = s * s;
    vec p = splat(1.0f / 13.0f);
    p = p * q + splat(1.0f / 11.0f);
    p = p * q + splat(1.0f / 9.0f);
    p = p * q + splat(1.0f / 7.0f);
    p = p * q + splat(1.0f / 5.0f);
    p = p * q + splat(1.0f / 3.0f);
    p = p * q + one;
    return choose(v < zero, zero, v) + (s + s) * p;
}

/* Sums of neighbours: half as many of each of two vectors, in order. */
#if LANES == 16
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif LANES == 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define EVEN 0, 2, 4, 6
#define ODD 1, 3, 5, 7
#endif
#ifdef __clang__
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

INLINE vec add_neighbours(vec a, vec b) { return PICK(a, b, EVEN) + PICK(a, b, ODD); }

/* The sum over the lanes of each of four vectors that lie behind one another. */
INLINE vec4 sum_lanes_of_4(const vec *v) {
    vec sums = add_neighbours(add_neighbours(v[0], v[1]), add_neighbours(v[2], v[3]));
    for (int each = LANES / 4; each > 1; each /= 2) sums = add_neighbours(sums, sums);
    vec4 first;
    memcpy(&first, &sums, sizeof first);
    return first;
}

/* The sum over the lanes of each of LANES vectors, which are overwritten. */
INLINE vec lane_sums(vec *v) {
#pragma GCC unroll 4
    for (int half = LANES / 2; half; half /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < half; i++) v[i] = add_neighbours(v[2 * i], v[2 * i + 1]);
    return v[0];
}

#endif
