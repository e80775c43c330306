/* The backward pass of windowed attention: with the probabilities p that the forward pass kept,

       dp_ts = dy_t . v_s         dscore_ts = p_ts (dp_ts - sum_s p_ts dp_ts)
       dv_s  = sum_t p_ts dy_t    dq_t = scale sum_s dscore_ts k_s    dk_s = scale sum_t dscore_ts q_t
       dbias_l = sum of dscore_ts over t - s = l */

#include "attention.h"

/* Scratch memory of one thread. */
typedef struct {
    float *turned;          /* values [size, all columns] */
    float *keys, *dk, *dv;  /* [all columns, padded] */
    float *q, *dy, *dq;     /* [ROWS, padded] */
    float *dscore;          /* [ROWS, row_width] */
    float *dbias;           /* by distance from the oldest column of a query, from -(ROWS - 1) on */
    int64_t *first;
} Memory;

typedef struct {
    const Attention *attention;
    float *memory;
    int64_t size; /* floats per thread */
} Job;

static int64_t memory_size(const Attention *a) {
    int64_t columns = all_columns(a), padded = padded_size(a), width = row_width(a);
    int64_t floats = columns * (a->size + 3 * padded) + ROWS * (3 * padded + width) + ROWS + width;
    return round_up(floats + 2 * blocks_of_rows(a) * ROWS, 2 * LANES);
}

static Memory memory_of(const Attention *a, float *at) {
    int64_t columns = all_columns(a), padded = padded_size(a), width = row_width(a);
    Memory m;
    m.first = (int64_t *)at, at += 2 * blocks_of_rows(a) * ROWS;
    m.turned = at, at += columns * a->size;
    m.keys = at, at += columns * padded;
    m.dk = at, at += columns * padded;
    m.dv = at, at += columns * padded;
    m.q = at, at += ROWS * padded;
    m.dy = at, at += ROWS * padded;
    m.dq = at, at += ROWS * padded;
    m.dscore = at, at += ROWS * width;
    m.dbias = at;
    return m;
}

/* Gradients of the block's scores, columns j0 .. row_width. What is not seen has p = 0 and none, whatever dp is: its
   values may be of before the episode, and not finite. */
static void score_gradients(const Attention *a, const Memory *m, int64_t t, int64_t j0, const float *p) {
    int64_t width = row_width(a), columns = all_columns(a), padded = padded_size(a);
    vec total[ROWS], zero = splat(0.0f);
    EACH_ROW total[i] = zero;
    for (int64_t j = j0; j < width; j += SPAN) {
        vec sums[ROWS][VECTORS];
        multiply_columns(m->dy, padded, a->size, m->turned + t + j, columns, sums);
        EACH_ROW {
            EACH_VECTOR {
                int64_t at = i * width + j + u * LANES;
                vec weight = get(p + at), product = choose(weight != zero, weight * sums[i][u], zero);
                total[i] += product;
                put(m->dscore + at, product);
            }
        }
    }
    for (int64_t i = 0; i < ROWS; i++) {
        float sum = sum_lanes(total[i]);
        for (int64_t j = j0; j < width; j += LANES) {
            vec gradient = get(m->dscore + i * width + j) - get(p + i * width + j) * splat(sum);
            float *dbias = m->dbias + ROWS - 1 - i + j;
            put(m->dscore + i * width + j, gradient);
            if (a->dbias) put(dbias, get(dbias) + gradient);
        }
    }
}

/* Adds the block's part to dq, for columns `first` to `last` of its window, and unless only_q to dk and dv. */
INLINE void sum_gradients(const Attention *a, const Memory *m, int64_t t, const float *p, int64_t first, int64_t last,
                          int only_q) {
    int64_t width = row_width(a), padded = padded_size(a);
    for (int64_t k = 0; k < padded; k += LANES) {
        vec q[ROWS], dy[ROWS], dq[ROWS];
        EACH_ROW {
            q[i] = get(m->q + i * padded + k), dy[i] = get(m->dy + i * padded + k);
            dq[i] = get(m->dq + i * padded + k);
        }
        for (int64_t j = first; j <= last; j++) {
            int64_t at = (t + j) * padded + k;
            vec key = get(m->keys + at), dk = get(m->dk + at), dv = get(m->dv + at);
            EACH_ROW {
                vec dscore = splat(m->dscore[i * width + j]);
                dq[i] += dscore * key;
                if (!only_q) dk += dscore * q[i], dv += splat(p[i * width + j]) * dy[i];
            }
            if (!only_q) put(m->dk + at, dk), put(m->dv + at, dv);
        }
        EACH_ROW put(m->dq + i * padded + k, dq[i]);
    }
}

static void write_columns(const Attention *a, const Seq *cache, const Seq *seq, int64_t b, int64_t head,
                          const float *rows) {
    int64_t cached = a->window - 1, padded = padded_size(a);
    for (int64_t c = cache->data ? 0 : cached; c < cached + a->time; c++)
        memcpy(column_of(a, cache, seq, b, c, head), rows + c * padded, (size_t)a->size * sizeof(float));
}

static void backward_block(const Attention *a, const Memory *m, int64_t b, int64_t head, int64_t block) {
    int64_t width = row_width(a), padded = padded_size(a), cached = a->window - 1;
    int64_t t = block * ROWS, first = m->first[t] - t, rows = smaller(ROWS, a->time - t), last = cached + rows - 1;
    const float *p = a->p + ((head * a->batch + b) * blocks_of_rows(a) + block) * ROWS * width;
    read_block(a, &a->q, b, t, head, (float)a->scale, m->q);
    read_block(a, &a->dy, b, t, head, 1.0f, m->dy);
    memset(m->dq, 0, (size_t)(ROWS * padded) * sizeof(float));
    score_gradients(a, m, t, first / SPAN * SPAN, p);
    int64_t from = a->dkeys.data || cached - t < first ? first : cached - t; /* the first that wants a gradient */
    sum_gradients(a, m, t, p, first, from - 1, 1);
    sum_gradients(a, m, t, p, from, last, 0);
    for (int64_t i = 0; i < rows; i++) {
        float *dq = step_of(a, &a->dq, b, t + i, head);
        for (int64_t k = 0; k < a->size; k++) dq[k] = (float)a->scale * m->dq[i * padded + k];
    }
}

static void backward_tasks(const void *job_, int64_t first, int64_t last, int thread) {
    const Job *job = job_;
    const Attention *a = job->attention;
    int64_t columns = all_columns(a), padded = padded_size(a), width = row_width(a);
    Memory m = memory_of(a, job->memory + thread * job->size);
    for (int64_t head = first; head < last; head++) {
        memset(m.dbias, 0, (size_t)(ROWS + width) * sizeof(float));
        for (int64_t b = 0; b < a->batch; b++) {
            first_columns(a, b, m.first);
            turn_columns(a, &a->values, &a->v, b, head, m.first[0], m.turned);
            read_columns(a, &a->keys, &a->k, b, head, m.first[0], m.keys);
            memset(m.dk, 0, (size_t)(2 * columns * padded) * sizeof(float)); /* and dv behind it */
            for (int64_t block = 0; block < blocks_of_rows(a); block++) backward_block(a, &m, b, head, block);
            write_columns(a, &a->dkeys, &a->dk, b, head, m.dk);
            write_columns(a, &a->dvalues, &a->dv, b, head, m.dv);
        }
        if (a->dbias)
            for (int64_t x = 0; x < a->window; x++)
                a->dbias[head * a->window + a->window - 1 - x] = m.dbias[ROWS - 1 + x];
    }
}

/* Returns 0, or 1 when memory ran out. */
int jamba_attention_backward(const Attention *a) {
    int threads = (int)smaller(smaller(a->threads, MAX_THREADS), a->heads);
    int64_t size = memory_size(a);
    Job job = {a, calloc((size_t)(threads * size), sizeof(float)), size};
    if (!job.memory) return 1;
    run_tasks(backward_tasks, &job, a->heads, threads);
    free(job.memory);
    return 0;
}
