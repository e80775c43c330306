/* What the passes of windowed attention share.

       score_ts = scale q_t . k_s + bias_{t-s}      for t - W < s <= t, s in the episode of t
       p_t      = softmax(score_t)                  y_t = sum_s p_ts v_s

   Keys and values of before the first step come from a cache of the W - 1 last ones. Cache and sequence are numbered
   through: column c = s + W - 1, so that query t sees columns t .. t + W - 1 of them, the last being its own.

   Queries are done ROWS at a time, against columns in vectors from the first query's on: for scores and their gradients
   lanes run over columns, for which keys or values are turned around once per head and sequence; for sums over columns
   lanes run over the head's features. Probabilities are kept for the backward pass in the same blocks, and columns that
   a query does not see have none. A task is one head, whose bias no other task touches. */

#ifndef JAMBA_ATTENTION_H
#define JAMBA_ATTENTION_H

#include <stdlib.h>

#include "tensor.h"
#include "threads.h"

/* Queries of a block, and vectors of columns done together: enough multiply-adds in flight, as registers allow. More
   queries share what is loaded, more columns fill up more of the last ones. */
#ifdef __AVX512F__
#define ROWS 8
#define VECTORS 1
#else
#define ROWS 4
#define VECTORS 2
#endif
#define SPAN (VECTORS * LANES)
#define INVISIBLE -1e30f /* a score; finite, so that no difference of two is NaN */

#define PRAGMA(text) _Pragma(#text)
#define UNROLL(count) PRAGMA(GCC unroll count)
#define EACH_VECTOR UNROLL(VECTORS) for (int u = 0; u < VECTORS; u++)
#define EACH_ROW UNROLL(ROWS) for (int i = 0; i < ROWS; i++)

/* The order is that of the fields packed by kernels/attention.py. Steps of all sequences are rows [heads, size]. */
typedef struct {
    int64_t batch, time, heads, size, window, threads;
    double scale;
    Seq q, k, v, keys, values; /* the last two: the cache, window - 1 steps */
    const int64_t *age;        /* [batch], steps of the episode before the first */
    Resets reset;
    const float *bias; /* [heads, window] or null */
    Seq y;
    float *p;         /* [heads, batch, blocks, ROWS, row_width], or null to keep none */
    int64_t *new_age; /* [batch] */
    Seq new_keys, new_values; /* written by the step only */
    Seq dy, dq, dk, dv, dkeys, dvalues; /* the last two may be null */
    float *dbias;
} Attention;

int jamba_attention_step(const Attention *a);

INLINE int64_t round_up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

/* Vectors are loaded and stored with any alignment: a block's columns begin at its first query's. */
INLINE vec get(const float *from) { return load(from, LANES); }
INLINE void put(float *to, vec v) { store(to, v, LANES); }

/* Lanes whose column j + 0, 1, ... is one of from..to. */
INLINE ivec within(int64_t j, int64_t from, int64_t to) {
    ivec column;
    for (int32_t i = 0; i < LANES; i++) column[i] = i;
    column += (int32_t)j;
    return (column >= (int32_t)from) & (column <= (int32_t)to);
}

/* Columns of one block of queries, filled up. */
INLINE int64_t row_width(const Attention *a) { return round_up(a->window + ROWS - 1, SPAN); }

INLINE int64_t blocks_of_rows(const Attention *a) { return (a->time + ROWS - 1) / ROWS; }

/* Columns of the whole sequence, filled up so that the last block may read all of its own. */
INLINE int64_t all_columns(const Attention *a) { return blocks_of_rows(a) * ROWS + row_width(a); }

INLINE int64_t padded_size(const Attention *a) { return round_up(a->size, LANES); }

INLINE int is_reset(const Attention *a, int64_t b, int64_t t) {
    return a->reset.data && a->reset.data[b * a->reset.per_batch + t * a->reset.per_step];
}

/* The head's features of step t. */
INLINE float *step_of(const Attention *a, const Seq *seq, int64_t b, int64_t t, int64_t head) {
    return seq->data + b * seq->per_batch + t * seq->per_step + head * a->size;
}

/* The head's features of a column: of the cache, or of the sequence. */
INLINE float *column_of(const Attention *a, const Seq *cache, const Seq *seq, int64_t b, int64_t c, int64_t head) {
    int64_t cached = a->window - 1;
    return c < cached ? step_of(a, cache, b, c, head) : step_of(a, seq, b, c - cached, head);
}

/* The first column that each query sees. Queries beyond the last, which fill up its block, see what that one sees. */
static inline void first_columns(const Attention *a, int64_t b, int64_t *first) {
    int64_t cached = a->window - 1, start = cached - smaller(a->age[b], cached);
    for (int64_t t = 0; t < a->time; t++) {
        if (is_reset(a, b, t)) start = t + cached;
        first[t] = start > t ? start : t;
    }
    for (int64_t t = a->time; t < blocks_of_rows(a) * ROWS; t++) first[t] = first[a->time - 1];
}

/* The age after the sequence. */
static inline void write_ages(const Attention *a) {
    for (int64_t b = 0; b < a->batch; b++) {
        int64_t age = a->age[b];
        for (int64_t t = 0; t < a->time; t++) age = is_reset(a, b, t) ? 1 : age + 1;
        a->new_age[b] = age;
    }
}

/* Columns from first on, in rows [column, padded]. */
static inline void read_columns(const Attention *a, const Seq *cache, const Seq *seq, int64_t b, int64_t head,
                                int64_t first, float *rows) {
    int64_t padded = padded_size(a);
    for (int64_t c = first; c < a->window - 1 + a->time; c++) {
        const float *from = column_of(a, cache, seq, b, c, head);
        float *to = rows + c * padded;
        for (int64_t k = 0; k < a->size; k++) to[k] = from[k];
    }
}

/* The same turned around, [feature, all columns]. */
static inline void turn_columns(const Attention *a, const Seq *cache, const Seq *seq, int64_t b, int64_t head,
                                int64_t first, float *turned) {
    int64_t width = all_columns(a);
    for (int64_t c = first; c < a->window - 1 + a->time; c++) {
        const float *from = column_of(a, cache, seq, b, c, head);
        for (int64_t k = 0; k < a->size; k++) turned[k * width + c] = from[k];
    }
}

/* Rows [ROWS, padded] of a block of steps, times factor; zero where there are none. */
static inline void read_block(const Attention *a, const Seq *seq, int64_t b, int64_t t, int64_t head, float factor,
                              float *rows) {
    int64_t padded = padded_size(a);
    for (int64_t i = 0; i < ROWS; i++) {
        const float *from = t + i < a->time ? step_of(a, seq, b, t + i, head) : 0;
        for (int64_t k = 0; k < a->size; k++) rows[i * padded + k] = from ? factor * from[k] : 0.0f;
    }
}

/* sums[i] = rows[i] . columns of a turned matrix, SPAN of them. */
INLINE void multiply_columns(const float *rows, int64_t padded, int64_t size, const float *turned, int64_t width,
                             vec sums[ROWS][VECTORS]) {
    EACH_ROW EACH_VECTOR sums[i][u] = splat(0.0f);
    for (int64_t k = 0; k < size; k++) {
        vec columns[VECTORS];
        EACH_VECTOR columns[u] = get(turned + k * width + u * LANES);
        EACH_ROW EACH_VECTOR sums[i][u] += splat(rows[i * padded + k]) * columns[u];
    }
}

typedef int32_t ivec4 __attribute__((vector_size(16)));

/* Four lanes at a time, then those four: a chain over all of them would be most of a short row's work. */
INLINE float largest_lane(vec v) {
    vec4 largest, more;
    memcpy(&largest, &v, sizeof largest);
    for (int i = 4; i < LANES; i += 4) {
        memcpy(&more, (const float *)&v + i, sizeof more);
        ivec4 larger = more > largest;
        largest = (vec4)((larger & (ivec4)more) | (~larger & (ivec4)largest));
    }
    float a = largest[0] > largest[1] ? largest[0] : largest[1], b = largest[2] > largest[3] ? largest[2] : largest[3];
    return a > b ? a : b;
}

INLINE float sum_lanes(vec v) {
    vec4 sum, more;
    memcpy(&sum, &v, sizeof sum);
    for (int i = 4; i < LANES; i += 4) {
        memcpy(&more, (const float *)&v + i, sizeof more);
        sum += more;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Softmax of a row's columns j0 .. width, in place. Scores are in bits: exp2 is the exponential at hand. */
static inline void softmax(float *p, int64_t j0, int64_t width) {
    vec largest = splat(INVISIBLE), sum = splat(0.0f);
    for (int64_t j = j0; j < width; j += LANES) {
        vec score = get(p + j);
        largest = choose(score > largest, score, largest);
    }
    vec top = splat(largest_lane(largest));
    for (int64_t j = j0; j < width; j += LANES) {
        vec e = exp2_of(get(p + j) - top, splat(1.0f));
        sum += e;
        put(p + j, e);
    }
    vec inverse = splat(1.0f / sum_lanes(sum));
    for (int64_t j = j0; j < width; j += LANES) put(p + j, get(p + j) * inverse);
}

#endif
