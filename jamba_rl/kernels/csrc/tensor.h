/* Tensors as the kernels see them, and moving them in and out of lanes. Everything in a struct is 8 bytes wide; absent
   tensors are null. */

#ifndef JAMBA_TENSOR_H
#define JAMBA_TENSOR_H

#include "vector.h"

/* [batch, time, last axis]; strides in floats, that of the last axis is 1. */
typedef struct {
    float *data;
    int64_t per_batch, per_step;
} Seq;

/* bool [batch, time] */
typedef struct {
    const uint8_t *data;
    int64_t per_batch, per_step;
} Resets;

/* Steps first..first+steps-1 of sequence b, channels channel..channel+count-1 (count <= LANES). */
typedef struct {
    int64_t b, first, steps, channel;
    int count;
} Part;

INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

INLINE float *at(const Seq *seq, const Part *part, int64_t t) {
    return seq->data + part->b * seq->per_batch + (part->first + t) * seq->per_step + part->channel;
}

/* Asks for the part's rows ahead of time, `further` channels on: rows of one block lie too far apart for the CPU to
   guess. Asking for what is not there does no harm. */
INLINE void prefetch(const Seq *seq, const Part *part, int64_t further) {
    if (!seq->data) return;
    for (int64_t t = 0; t < part->steps; t++) __builtin_prefetch(at(seq, part, t) + further);
}

INLINE void prefetch_results(const Seq *seq, const Part *part) {
    if (!seq->data) return;
    for (int64_t t = 0; t < part->steps; t++) __builtin_prefetch(at(seq, part, t), 1);
}

/* The part's steps of a [batch, time, states] tensor, each filled up with zeros to `padded`. */
INLINE void read_rows(float *to, const Seq *from, const Part *part, int64_t states, int64_t padded) {
    for (int64_t t = 0; t < part->steps; t++) {
        const float *row = from->data + part->b * from->per_batch + (part->first + t) * from->per_step;
        for (int64_t n = 0; n < padded; n++) to[t * padded + n] = n < states ? row[n] : 0.0f;
    }
}

INLINE void read_resets(uint8_t *to, const Resets *from, const Part *part) {
    for (int64_t t = 0; t < part->steps; t++)
        to[t] = from->data ? from->data[part->b * from->per_batch + (part->first + t) * from->per_step] : 0;
}

/* [count, states] to [padded, LANES]; what lies beyond is zero. */
static inline void to_lanes(vec *to, const float *from, int count, int64_t states, int64_t padded) {
    memset(to, 0, (size_t)padded * sizeof(vec));
    if (!from) return;
    float *lanes = (float *)to;
    for (int64_t n = 0; n < states; n++)
        for (int i = 0; i < count; i++) lanes[n * LANES + i] = from[i * states + n];
}

static inline void from_lanes(float *to, const vec *from, int count, int64_t states) {
    const float *lanes = (const float *)from;
    for (int i = 0; i < count; i++)
        for (int64_t n = 0; n < states; n++) to[i * states + n] = lanes[n * LANES + i];
}

#endif
