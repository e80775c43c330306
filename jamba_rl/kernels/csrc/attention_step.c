/* One step of windowed attention, for rollouts: no blocks of queries, and nothing is turned around: lanes run over the
   features of a head as they lie in memory. Writes the next state, too. */

#include "attention.h"

#define EACH_COLUMN UNROLL(16) for (int i = 0; i < LANES; i++)

/* Scratch memory. Columns are those of the window, filled up to whole vectors. */
typedef struct {
    int64_t width;
    float *bias;         /* [heads, width], in bits, as the scores */
    float *p;            /* [heads, width] */
    const float **keys;  /* [width]: rows of the columns; beyond the last, the last again */
    const float **values;
} Memory;

/* At most a vector of a head's features, from its k-th on, as part of a row of all heads. Those at the end of a row are
   read with some before them, not to read beyond it: `mask` has the lanes that count, `lanes` of them after `skip`. */
typedef struct {
    int64_t from;
    int count, skip, lanes;
    ivec mask;
} Piece;

INLINE Piece piece_of(const Attention *a, int64_t head, int64_t k) {
    int64_t row = a->heads * a->size, wanted = head * a->size + k;
    Piece piece = {.count = (int)smaller(LANES, row), .lanes = (int)smaller(LANES, a->size - k)};
    piece.from = smaller(wanted, row - piece.count);
    piece.skip = (int)(wanted - piece.from);
    piece.mask = within(0, piece.skip, piece.skip + piece.lanes - 1);
    return piece;
}

INLINE vec read_piece(const float *row, const Piece *piece) {
    return (vec)((ivec)load(row + piece->from, piece->count) & piece->mask);
}

/* The last window - 2 steps of the cache and the present one, as one contiguous cache. */
static void next_cache(const Attention *a, const Seq *cache, const Seq *present, const Seq *next, int64_t b) {
    int64_t kept = a->window - 2, row = a->heads * a->size;
    if (kept < 0) return;
    if (cache->per_step == row) {
        memcpy(step_of(a, next, b, 0, 0), step_of(a, cache, b, 1, 0), (size_t)(kept * row) * sizeof(float));
    } else {
        for (int64_t s = 0; s < kept; s++)
            memcpy(step_of(a, next, b, s, 0), step_of(a, cache, b, s + 1, 0), (size_t)row * sizeof(float));
    }
    memcpy(step_of(a, next, b, kept, 0), step_of(a, present, b, 0, 0), (size_t)row * sizeof(float));
}

static void find_rows(const Attention *a, const Seq *cache, const Seq *present, int64_t b, const Memory *m,
                      const float **rows) {
    for (int64_t c = 0; c < m->width; c++) rows[c] = column_of(a, cache, present, b, smaller(c, a->window - 1), 0);
}

/* Scores in bits, of columns `first` on; those before, in the same vector, are not seen. */
static void step_scores(const Attention *a, const Memory *m, int64_t b, int64_t head, int64_t first) {
    const float *q = step_of(a, &a->q, b, 0, 0);
    vec factor = splat((float)(a->scale * LOG2E));
    for (int64_t j = first / LANES * LANES; j < a->window; j += LANES) {
        vec products[LANES];
        EACH_COLUMN products[i] = splat(0.0f);
        for (int64_t k = 0; k < a->size; k += LANES) {
            Piece piece = piece_of(a, head, k);
            vec query = read_piece(q, &piece);
            EACH_COLUMN products[i] += query * read_piece(m->keys[j + i], &piece);
        }
        vec score = factor * lane_sums(products) + get(m->bias + head * m->width + j);
        put(m->p + head * m->width + j, choose(within(j, first, a->window - 1), score, splat(INVISIBLE)));
    }
}

static void step_weigh(const Attention *a, const Memory *m, int64_t b, int64_t head, int64_t first) {
    const float *p = m->p + head * m->width;
    float *y = step_of(a, &a->y, b, 0, head);
    for (int64_t k = 0; k < a->size; k += LANES) {
        Piece piece = piece_of(a, head, k);
        vec even = splat(0.0f), odd = splat(0.0f); /* two sums, not to wait for one */
        int64_t j = first;
        for (; j + 1 < a->window; j += 2) {
            even += splat(p[j]) * load(m->values[j] + piece.from, piece.count);
            odd += splat(p[j + 1]) * load(m->values[j + 1] + piece.from, piece.count);
        }
        if (j < a->window) even += splat(p[j]) * load(m->values[j] + piece.from, piece.count);
        even += odd;
        if (piece.lanes == LANES) put(y + k, even);
        else memcpy(y + k, (const float *)&even + piece.skip, (size_t)piece.lanes * sizeof(float));
    }
}

static int start(const Attention *a, Memory *m) {
    m->width = round_up(a->window, LANES);
    m->keys = malloc((size_t)m->width * (2 * sizeof(float *) + 2 * (size_t)a->heads * sizeof(float)));
    if (!m->keys) return 1;
    m->values = m->keys + m->width;
    m->bias = (float *)(m->values + m->width);
    m->p = m->bias + a->heads * m->width;
    for (int64_t head = 0; head < a->heads; head++)
        for (int64_t c = 0; c < m->width; c++) {
            int64_t lag = a->window - 1 - c;
            m->bias[head * m->width + c] = a->bias && lag >= 0 ? LOG2E * a->bias[head * a->window + lag] : 0.0f;
        }
    return 0;
}

/* Returns 0, or 1 when memory ran out. */
int jamba_attention_step(const Attention *a) {
    Memory m;
    if (start(a, &m)) return 1;
    write_ages(a);
    for (int64_t b = 0; b < a->batch; b++) {
        next_cache(a, &a->keys, &a->k, &a->new_keys, b);
        next_cache(a, &a->values, &a->v, &a->new_values, b);
        find_rows(a, &a->keys, &a->k, b, &m, m.keys);
        find_rows(a, &a->values, &a->v, b, &m, m.values);
        int64_t cached = a->window - 1, first = cached - smaller(a->new_age[b] - 1, cached);
        /* Head after head, not all three of one: the CPU does several softmaxes at once. */
        for (int64_t head = 0; head < a->heads; head++) step_scores(a, &m, b, head, first);
        for (int64_t head = 0; head < a->heads; head++)
            softmax(m.p + head * m.width, first / LANES * LANES, m.width);
        for (int64_t head = 0; head < a->heads; head++) step_weigh(a, &m, b, head, first);
    }
    free(m.keys);
    return 0;
}
