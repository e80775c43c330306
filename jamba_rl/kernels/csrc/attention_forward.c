/* The forward pass of windowed attention over sequences. */

#include "attention.h"

/* Scratch memory of one thread. */
typedef struct {
    float *turned; /* keys [size, all columns] */
    float *values; /* [all columns, padded] */
    float *q;      /* [ROWS, padded] */
    float *p;      /* [ROWS, row_width] */
    float *bias;   /* by distance from the oldest column of a query, from -(ROWS - 1) on */
    int64_t *first;
} Memory;

typedef struct {
    const Attention *attention;
    float *memory;
    int64_t size; /* floats per thread */
} Job;

static int64_t bias_width(const Attention *a) { return ROWS + row_width(a); }

static int64_t memory_size(const Attention *a) {
    int64_t columns = all_columns(a), padded = padded_size(a);
    int64_t floats = columns * (a->size + padded) + ROWS * (padded + row_width(a)) + bias_width(a);
    return round_up(floats + 2 * blocks_of_rows(a) * ROWS, 2 * LANES);
}

static Memory memory_of(const Attention *a, float *at) {
    int64_t columns = all_columns(a), padded = padded_size(a);
    Memory m;
    m.first = (int64_t *)at, at += 2 * blocks_of_rows(a) * ROWS; /* before the floats: it has to be aligned */
    m.turned = at, at += columns * a->size;
    m.values = at, at += columns * padded;
    m.q = at, at += ROWS * padded;
    m.p = at, at += ROWS * row_width(a);
    m.bias = at;
    return m;
}

/* In bits, as the scores. */
static void read_bias(const Attention *a, int64_t head, float *bias) {
    for (int64_t x = 0; x < a->window; x++)
        bias[ROWS - 1 + x] = a->bias ? LOG2E * a->bias[head * a->window + a->window - 1 - x] : 0.0f;
}

/* The block's scores of columns j0 .. row_width, relative to its first query's oldest. */
static void scores(const Attention *a, const Memory *m, int64_t t, int64_t j0, float *p) {
    int64_t width = row_width(a), columns = all_columns(a), padded = padded_size(a);
    for (int64_t j = j0; j < width; j += SPAN) {
        vec sums[ROWS][VECTORS];
        multiply_columns(m->q, padded, a->size, m->turned + t + j, columns, sums);
        EACH_ROW {
            EACH_VECTOR {
                int64_t at = j + u * LANES;
                vec score = sums[i][u] + get(m->bias + ROWS - 1 - i + at);
                ivec seen = within(at, m->first[t + i] - t, i + a->window - 1);
                put(p + i * width + at, choose(seen, score, splat(INVISIBLE)));
            }
        }
    }
}

/* y of a block: columns from `first` of its window to `last`, of which every query weighs its own. */
static void weigh(const Attention *a, const Memory *m, int64_t b, int64_t t, int64_t head, const float *p,
                  int64_t first, int64_t last) {
    int64_t width = row_width(a), padded = padded_size(a);
    for (int64_t k = 0; k < a->size; k += LANES) {
        vec y[ROWS];
        EACH_ROW y[i] = splat(0.0f);
        for (int64_t j = first; j <= last; j++) {
            vec value = get(m->values + (t + j) * padded + k);
            EACH_ROW y[i] += splat(p[i * width + j]) * value;
        }
        int count = (int)smaller(LANES, a->size - k);
        for (int64_t i = 0; i < ROWS && t + i < a->time; i++)
            store(step_of(a, &a->y, b, t + i, head) + k, y[i], count);
    }
}

static void forward_sequence(const Attention *a, const Memory *m, int64_t b, int64_t head) {
    int64_t width = row_width(a), cached = a->window - 1;
    first_columns(a, b, m->first);
    turn_columns(a, &a->keys, &a->k, b, head, m->first[0], m->turned);
    read_columns(a, &a->values, &a->v, b, head, m->first[0], m->values);
    for (int64_t block = 0; block < blocks_of_rows(a); block++) {
        int64_t t = block * ROWS, first = m->first[t] - t, rows = smaller(ROWS, a->time - t);
        int64_t j0 = first / SPAN * SPAN;
        float *p = a->p ? a->p + ((head * a->batch + b) * blocks_of_rows(a) + block) * ROWS * width : m->p;
        read_block(a, &a->q, b, t, head, (float)(a->scale * LOG2E), m->q);
        scores(a, m, t, j0, p);
        for (int64_t i = 0; i < rows; i++) softmax(p + i * width, j0, width);
        memset(p + rows * width, 0, (size_t)((ROWS - rows) * width) * sizeof(float));
        weigh(a, m, b, t, head, p, first, cached + rows - 1);
    }
}

static void forward_tasks(const void *job_, int64_t first, int64_t last, int thread) {
    const Job *job = job_;
    const Attention *a = job->attention;
    Memory m = memory_of(a, job->memory + thread * job->size);
    for (int64_t head = first; head < last; head++) {
        read_bias(a, head, m.bias);
        for (int64_t b = 0; b < a->batch; b++) forward_sequence(a, &m, b, head);
    }
}

/* Returns 0, or 1 when memory ran out. */
int jamba_attention_forward(const Attention *a) {
    int threads = (int)smaller(smaller(a->threads, MAX_THREADS), a->heads);
    int64_t size = memory_size(a);
    Job job = {a, calloc((size_t)(threads * size), sizeof(float)), size};
    if (!job.memory) return 1;
    write_ages(a);
    run_tasks(forward_tasks, &job, a->heads, threads);
    free(job.memory);
    return 0;
}

/* What the caller needs to know to make room for the probabilities. */
void jamba_attention_sizes(int64_t *sizes) { sizes[0] = ROWS, sizes[1] = SPAN; }
