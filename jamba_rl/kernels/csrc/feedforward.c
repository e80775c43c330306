/* A whole dense feed-forward on few rows, for rollouts: y = out(act(in(x))) in one call. */

#include <stdlib.h>

#include "product.h"
#include "tensor.h"
#include "threads.h"

enum { SILU, GELU, SWIGLU };

/* The order is that of the fields packed by kernels/feedforward.py. Everything is contiguous. */
typedef struct {
    int64_t batch, features, hidden, act, threads;
    const float *in_proj, *in_bias;   /* [width, features]; [width] or null; width: see width_of */
    const float *out_proj, *out_bias; /* [features, hidden]; [features] or null */
    const float *x;                   /* [batch, features] */
    float *y;
} Layer;

typedef struct {
    const Layer *layer;
    float *hidden; /* [batch, width] */
} Task;

/* Features of in(x): with swiglu the gate, then what it is applied to. */
static int64_t width_of(const Layer *l) { return l->act == SWIGLU ? 2 * l->hidden : l->hidden; }

/* v Phi(v), with 1 - Phi(|v|) = erfc(|v| / sqrt(2)) / 2 to 1e-7 (Abramowitz & Stegun 7.1.26). */
INLINE vec gelu(vec v) {
    vec z = absolute(v) * splat(0.70710678f), one = splat(1.0f);
    vec t = one / (one + splat(0.3275911f) * z);
    vec p = splat(1.061405429f);
    p = p * t + splat(-1.453152027f);
    p = p * t + splat(1.421413741f);
    p = p * t + splat(-0.284496736f);
    p = p * t + splat(0.254829592f);
    vec tail = splat(0.5f) * p * t * exp_of(-z * z);
    return v * choose(v < splat(0.0f), tail, one - tail);
}

INLINE vec activation(int64_t act, vec v) { return act == GELU ? gelu(v) : v * sigmoid(v); }

/* Of one row, in place: with swiglu the first half becomes the result. */
INLINE void activate(const Layer *l, float *row) {
    for (int64_t i = 0; i < l->hidden; i += LANES) {
        int count = (int)smaller(LANES, l->hidden - i);
        vec v = activation(l->act, load(row + i, count));
        if (l->act == SWIGLU) v *= load(row + l->hidden + i, count);
        store(row + i, v, count);
    }
}

static void rows(const void *task_, int64_t first, int64_t last, int thread) {
    (void)thread;
    const Task *task = task_;
    const Layer *l = task->layer;
    int64_t n = last - first, D = l->features, width = width_of(l);
    float *hidden = task->hidden + first * width;
    jamba_product(&(Product){n, D, width, l->x + first * D, D, l->in_proj, l->in_bias, hidden, width});
    for (int64_t b = 0; b < n; b++) activate(l, hidden + b * width);
    jamba_product(&(Product){n, l->hidden, D, hidden, width, l->out_proj, l->out_bias, l->y + first * D, D});
}

/* Returns 0, or 1 when memory ran out. */
int jamba_feedforward(const Layer *l) {
    float *hidden = malloc((size_t)(l->batch * width_of(l)) * sizeof(float));
    if (!hidden) return 1;
    run_tasks(rows, &(Task){l, hidden}, l->batch, (int)smaller(smaller(l->threads, MAX_THREADS), l->batch));
    free(hidden);
    return 0;
}
