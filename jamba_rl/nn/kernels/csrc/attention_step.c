/* One step of windowed attention, for rollouts: no blocks, nothing is turned around, and lanes run over the features of
   a head as they lie in memory. Writes the next state, too. */

#include "attention.h"

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

/* Scores in bits, of columns `first` on; those before are not seen. Four at a time, for one sum over the lanes. */
static void step_scores(const Attention *a, int64_t b, int64_t head, int64_t first, float *p) {
    const float *q = step_of(a, &a->q, b, 0, head);
    float factor = (float)(a->scale * LOG2E);
    int64_t width = round_up(a->window, LANES);
    for (int64_t j = 0; j < width; j++) p[j] = INVISIBLE;
    for (int64_t j = first; j < a->window; j += 4) {
        int count = (int)smaller(4, a->window - j);
        vec products[4] = {splat(0.0f), splat(0.0f), splat(0.0f), splat(0.0f)};
        for (int i = 0; i < count; i++) {
            const float *key = column_of(a, &a->keys, &a->k, b, j + i, head);
            for (int64_t k = 0; k < a->size; k += LANES) {
                int lanes = (int)smaller(LANES, a->size - k);
                products[i] += load(q + k, lanes) * load(key + k, lanes);
            }
        }
        vec4 sums = sum_lanes_of_4(products);
        for (int i = 0; i < count; i++) p[j + i] = factor * sums[i];
    }
    if (!a->bias) return;
    const float *bias = a->bias + head * a->window + a->window - 1;
    for (int64_t j = first; j < a->window; j++) p[j] += LOG2E * bias[-j];
}

static void step_weigh(const Attention *a, int64_t b, int64_t head, int64_t first, const float *p) {
    for (int64_t k = 0; k < a->size; k += LANES) {
        int lanes = (int)smaller(LANES, a->size - k);
        vec even = splat(0.0f), odd = splat(0.0f); /* two sums, not to wait for one */
        int64_t j = first;
        for (; j + 1 < a->window; j += 2) {
            even += splat(p[j]) * load(column_of(a, &a->values, &a->v, b, j, head) + k, lanes);
            odd += splat(p[j + 1]) * load(column_of(a, &a->values, &a->v, b, j + 1, head) + k, lanes);
        }
        if (j < a->window) even += splat(p[j]) * load(column_of(a, &a->values, &a->v, b, j, head) + k, lanes);
        store(step_of(a, &a->y, b, 0, head) + k, even + odd, lanes);
    }
}

/* Returns 0, or 1 when memory ran out. */
int jamba_attention_step(const Attention *a) {
    int64_t cached = a->window - 1, width = round_up(a->window, LANES);
    float *p = malloc((size_t)width * sizeof(float));
    if (!p) return 1;
    write_ages(a);
    for (int64_t b = 0; b < a->batch; b++) {
        next_cache(a, &a->keys, &a->k, &a->new_keys, b);
        next_cache(a, &a->values, &a->v, &a->new_values, b);
        int64_t first = cached - smaller(a->new_age[b] - 1, cached);
        for (int64_t head = 0; head < a->heads; head++) {
            step_scores(a, b, head, first, p);
            softmax(p, 0, width);
            step_weigh(a, b, head, first, p);
        }
    }
    free(p);
    return 0;
}
