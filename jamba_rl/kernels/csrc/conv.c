/* A causal convolution over time, one filter per channel, then SiLU, forward and backward:

       u_t = bias + sum_j weight_{W-1-j} x_{t-j}        y_t = silu(u_t)        (lags j = 0 .. W-1)

   Inputs before the first step come from `state` (the last W - 1 of them, oldest first, or null for none); inputs
   before a reset do not count. A task is one block of channels, whose parameters' gradients no other task touches. */

#include <stdlib.h>

#include "tensor.h"
#include "threads.h"

#define MAX_WIDTH 32
#define ALL_LAGS _Pragma("GCC unroll 4") for (int64_t j = 1; j < width; j++)

/* The order is that of the fields packed by kernels/conv.py. */
typedef struct {
    int64_t batch, time, channels, width, threads;
    Seq x;
    const float *weight, *bias; /* [channels, width]; [channels] or null */
    Seq state;                  /* [batch, width - 1, channels] */
    Resets reset;
    Seq y, new_state;
    Seq dy, dnew_state; /* gradients coming in */
    Seq dx, dstate;     /* gradients going out */
    float *dweight, *dbias;
} Conv;

/* Whether the step is the first of an episode, whose inputs and those before do not see each other. */
INLINE int is_reset(const Conv *c, int64_t b, int64_t t) {
    return c->reset.data && c->reset.data[b * c->reset.per_batch + t * c->reset.per_step];
}

/* Input t, or where t < 0 the state's; likewise for their gradients. */
INLINE float *input(const Seq *x, const Seq *state, const Part *part, int64_t width, int64_t t) {
    return t < 0 ? at(state, part, width - 1 + t) : at(x, part, t);
}

/* u_t; reach says how many steps back t may see. */
INLINE vec convolve(const Conv *c, const Part *part, const vec *weight, vec bias, int64_t width, int64_t t,
                    int64_t reach) {
    vec u = bias + weight[width - 1] * load(at(&c->x, part, t), part->count);
    if (smaller(t, reach) >= width - 1) { /* nearly always: no lag needs a question */
        ALL_LAGS u += weight[width - 1 - j] * load(at(&c->x, part, t - j), part->count);
    } else {
        for (int64_t j = 1; j <= smaller(reach, width - 1); j++)
            u += weight[width - 1 - j] * load(input(&c->x, &c->state, part, width, t - j), part->count);
    }
    return u;
}

/* ---------------------------------------------------------------- forward */

INLINE void forward_sequence(const Conv *c, const Part *part, const vec *weight, vec bias, int64_t width) {
    int64_t reach = c->state.data ? width - 1 : 0;
    for (int64_t t = 0; t < c->time; t++, reach++) {
        if (is_reset(c, part->b, t)) reach = 0;
        vec u = convolve(c, part, weight, bias, width, t, reach);
        store(at(&c->y, part, t), u * sigmoid(u), part->count);
    }
    for (int64_t j = 1; j < width; j++) {
        vec kept = splat(0.0f);
        if (j <= reach) kept = load(input(&c->x, &c->state, part, width, c->time - j), part->count);
        store(at(&c->new_state, part, width - 1 - j), kept, part->count);
    }
}

static void forward_tasks(const void *conv, int64_t first, int64_t last, int thread) {
    (void)thread;
    const Conv *c = conv;
    vec weight[MAX_WIDTH];
    for (int64_t block = first; block < last; block++) {
        Part part = {0, 0, c->time, block * LANES, (int)smaller(LANES, c->channels - block * LANES)};
        to_lanes(weight, c->weight + part.channel * c->width, part.count, c->width, c->width);
        vec bias = c->bias ? load(c->bias + part.channel, part.count) : splat(0.0f);
        for (part.b = 0; part.b < c->batch; part.b++) {
            if (c->width == 4) forward_sequence(c, &part, weight, bias, 4); /* the usual width, unrolled */
            else forward_sequence(c, &part, weight, bias, c->width);
        }
    }
}

/* ---------------------------------------------------------------- backward */

/* du_t for all steps, and from it the sums for the parameters. */
INLINE void output_gradients(const Conv *c, const Part *part, const vec *weight, vec bias, int64_t width, vec *du,
                             vec *dweight, vec *dbias) {
    int64_t reach = c->state.data ? width - 1 : 0;
    for (int64_t t = 0; t < c->time; t++, reach++) {
        if (is_reset(c, part->b, t)) reach = 0;
        vec u = convolve(c, part, weight, bias, width, t, reach), gate = sigmoid(u);
        du[t] = load(at(&c->dy, part, t), part->count) * gate * (splat(1.0f) + u * (splat(1.0f) - gate));
        *dbias += du[t];
        dweight[width - 1] += du[t] * load(at(&c->x, part, t), part->count);
        if (smaller(t, reach) >= width - 1) {
            ALL_LAGS dweight[width - 1 - j] += du[t] * load(at(&c->x, part, t - j), part->count);
        } else {
            for (int64_t j = 1; j <= smaller(reach, width - 1); j++)
                dweight[width - 1 - j] += du[t] * load(input(&c->x, &c->state, part, width, t - j), part->count);
        }
    }
}

/* dx_t = sum_j weight_{W-1-j} du_{t+j}, back to the first input of the state; ahead says how many steps saw t. */
INLINE void input_gradients(const Conv *c, const Part *part, const vec *weight, int64_t width, const vec *du) {
    int64_t ahead = 0, seen_at_end = 1, oldest = c->dstate.data ? 1 - width : 0;
    for (int64_t t = c->time - 1; t >= oldest; t--, ahead++) {
        vec dx = t < 0 ? splat(0.0f) : weight[width - 1] * du[t];
        if (t >= 0 && ahead >= width - 1) {
            ALL_LAGS dx += weight[width - 1 - j] * du[t + j];
        } else {
            for (int64_t j = t < 0 ? -t : 1; j <= smaller(ahead, width - 1); j++)
                dx += weight[width - 1 - j] * du[t + j];
        }
        if (seen_at_end && c->dnew_state.data && t > c->time - width)
            dx += load(at(&c->dnew_state, part, t - (c->time - width + 1)), part->count);
        store(input(&c->dx, &c->dstate, part, width, t), dx, part->count);
        if (t >= 0 && is_reset(c, part->b, t)) ahead = -1, seen_at_end = 0;
    }
}

static void backward_tasks(const void *conv, int64_t first, int64_t last, int thread) {
    const Conv *c = ((const Conv *const *)conv)[0];
    vec *du = (vec *)((void *const *)conv)[1] + thread * c->time;
    vec weight[MAX_WIDTH], dweight[MAX_WIDTH];
    for (int64_t block = first; block < last; block++) {
        Part part = {0, 0, c->time, block * LANES, (int)smaller(LANES, c->channels - block * LANES)};
        to_lanes(weight, c->weight + part.channel * c->width, part.count, c->width, c->width);
        vec bias = c->bias ? load(c->bias + part.channel, part.count) : splat(0.0f), dbias = splat(0.0f);
        memset(dweight, 0, sizeof dweight);
        for (part.b = 0; part.b < c->batch; part.b++) {
            if (c->width == 4) {
                output_gradients(c, &part, weight, bias, 4, du, dweight, &dbias);
                input_gradients(c, &part, weight, 4, du);
            } else {
                output_gradients(c, &part, weight, bias, c->width, du, dweight, &dbias);
                input_gradients(c, &part, weight, c->width, du);
            }
        }
        from_lanes(c->dweight + part.channel * c->width, dweight, part.count, c->width);
        if (c->dbias) store(c->dbias + part.channel, dbias, part.count);
    }
}

/* ---------------------------------------------------------------- entry points: 0, or 1 when memory ran out */

static int64_t blocks_of(const Conv *c) { return (c->channels + LANES - 1) / LANES; }

static int threads_of(const Conv *c) { return (int)smaller(smaller(c->threads, MAX_THREADS), blocks_of(c)); }

int jamba_conv_forward(const Conv *c) {
    run_tasks(forward_tasks, c, blocks_of(c), threads_of(c));
    return 0;
}

int jamba_conv_backward(const Conv *c) {
    void *du = 0;
    if (posix_memalign(&du, sizeof(vec), (size_t)(threads_of(c) * c->time) * sizeof(vec))) return 1;
    const void *job[2] = {c, du};
    run_tasks(backward_tasks, job, blocks_of(c), threads_of(c));
    free(du);
    return 0;
}
