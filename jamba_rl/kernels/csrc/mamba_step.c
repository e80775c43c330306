/* One step of a whole Mamba layer, for rollouts: what takes ten calls otherwise, of which each costs as much as its
   work. Formulas: see conv.c, norm.c, scan.h and kernels/turn.py; the projections are linear layers. */

#include "norm.h"
#include "product.h"
#include "scan.h"
#include "turn.h"

#define MAX_WIDTH 32

/* The order is that of the fields packed by kernels/mamba_step.py. Everything is contiguous. */
typedef struct {
    int64_t batch, features, channels, states, rank, width, pairs, threads;
    double eps;
    const float *A_log, *D;                 /* [channels, states - pairs], [channels]: a pair decays as one */
    const float *conv_weight, *conv_bias;   /* [channels, width]; [channels] or null */
    const float *x_proj;                    /* [rank + 2 states, channels] */
    const float *dt_proj, *dt_bias;         /* [channels, rank], [channels] */
    const float *dt_norm, *B_norm, *C_norm; /* [rank], [states], [states]; or null, all of them */
    const float *angle_proj;                /* [pairs, channels], or null for no pairs */
    const float *in_proj, *in_bias;         /* [2 channels, features]; [2 channels] or null */
    const float *out_proj, *out_bias;       /* [features, channels]; [features] or null */
    const float *x, *conv_state, *ssm_state;
    const uint8_t *reset; /* [batch] or null */
    float *y, *new_conv_state, *new_ssm_state;
} Layer;

/* What lies between the parts of a layer, for all rows. */
typedef struct {
    float *xz, *x, *projected, *dt, *y; /* x: after the convolution */
    float *A_log;                       /* [channels, states] */
    float *cosine, *sine, *turned;      /* of pairs; the old states with pairs turned by them */
} Between;

static int64_t projected_size(const Layer *l) { return l->rank + 2 * l->states; }

/* One block of channels over the rows first..last-1: the convolution with SiLU, and what it remembers. */
static void convolve(const Layer *l, const Between *m, int64_t first, int64_t last, int64_t channel) {
    int64_t lags = l->width - 1;
    int count = (int)smaller(LANES, l->channels - channel);
    vec weight[MAX_WIDTH];
    to_lanes(weight, l->conv_weight + channel * l->width, count, l->width, l->width);
    vec bias = l->conv_bias ? load(l->conv_bias + channel, count) : splat(0.0f);
    for (int64_t b = first; b < last; b++) {
        int forget = l->reset && l->reset[b];
        int64_t corner = b * lags * l->channels + channel;
        const float *old = l->conv_state + corner;
        float *new = l->new_conv_state + corner;
        vec x = load(m->xz + b * 2 * l->channels + channel, count), u = bias + weight[lags] * x;
        for (int64_t j = 0; j < lags; j++, old += l->channels) {
            vec input = forget ? splat(0.0f) : load(old, count);
            u += weight[j] * input;
            if (j) store(new, input, count), new += l->channels;
        }
        if (lags) store(new, x, count);
        store(m->x + b * l->channels + channel, u * sigmoid(u), count);
    }
}

/* Turns the old states of the rows first..last-1: states n and n + pairs are a point of the plane. */
static void turn(const Layer *l, const Between *m, int64_t first, int64_t last) {
    int64_t E = l->channels, N = l->states, Q = l->pairs;
    jamba_product(&(Product){last - first, E, Q, m->x + first * E, E, l->angle_proj, 0, m->cosine + first * Q, Q});
    memcpy(m->turned + first * E * N, l->ssm_state + first * E * N, (size_t)((last - first) * E * N) * sizeof(float));
    for (int64_t b = first; b < last; b++) {
        float *c = m->cosine + b * Q, *s = m->sine + b * Q, *state = m->turned + b * E * N;
        for (int64_t q = 0; q < Q; q++) {
            float angle = (float)PI * share_of(c[q]);
            c[q] = cosf(angle), s[q] = sinf(angle);
        }
        for (int64_t channel = 0; channel < E; channel++, state += N)
            for (int64_t q = 0; q < Q; q++) turn_pair(state + q, state + q + Q, c[q], s[q]);
    }
}

/* A_log with a column for every state, those of pairs twice. */
static void repeat_pairs(const Layer *l, float *A_log) {
    int64_t K = l->states - l->pairs;
    for (int64_t channel = 0; channel < l->channels; channel++, A_log += l->states) {
        memcpy(A_log, l->A_log + channel * K, (size_t)l->pairs * sizeof(float));
        memcpy(A_log + l->pairs, l->A_log + channel * K, (size_t)K * sizeof(float));
    }
}

static Seq rows_of(float *data, int64_t stride) { return (Seq){data, stride, 0}; }

static int scan(const Layer *l, const Between *m, int64_t first, int64_t last) {
    int64_t E = l->channels, N = l->states, P = projected_size(l);
    float *projected = m->projected + first * P, *state = l->new_ssm_state + first * E * N;
    Scan scan = {.batch = last - first, .time = 1, .channels = E, .states = N, .threads = 1, .softplus = 1, .log_A = 1};
    scan.x = rows_of(m->x + first * E, E), scan.dt = rows_of(m->dt + first * E, E);
    scan.B = rows_of(projected + l->rank, P), scan.C = rows_of(projected + l->rank + N, P);
    scan.z = rows_of(m->xz + first * 2 * E + E, 2 * E), scan.y = rows_of(m->y + first * E, E);
    scan.A = m->A_log, scan.D = l->D, scan.dt_bias = l->dt_bias;
    scan.initial = (l->pairs ? m->turned : l->ssm_state) + first * E * N, scan.final = state;
    scan.reset = (Resets){l->reset ? l->reset + first : 0, 1, 0};
    return jamba_scan_step(&scan);
}

/* The whole layer for the rows first..last-1; returns 0, or 1 when memory ran out. */
static int step_rows(const Layer *l, const Between *m, int64_t first, int64_t last) {
    int64_t n = last - first, D = l->features, E = l->channels, R = l->rank, P = projected_size(l);
    float *projected = m->projected + first * P;
    jamba_product(&(Product){n, D, 2 * E, l->x + first * D, D, l->in_proj, l->in_bias, m->xz + first * 2 * E, 2 * E});
    for (int64_t channel = 0; channel < E; channel += LANES) convolve(l, m, first, last, channel);
    jamba_product(&(Product){n, E, P, m->x + first * E, E, l->x_proj, 0, projected, P});
    if (l->dt_norm)
        jamba_norm_forward(&(Norm){.rows = n, .size = {R, l->states, l->states}, .eps = l->eps, .x = projected,
                                   .weight = {l->dt_norm, l->B_norm, l->C_norm}, .y = projected});
    jamba_product(&(Product){n, R, E, projected, P, l->dt_proj, 0, m->dt + first * E, E});
    if (l->pairs) turn(l, m, first, last);
    if (scan(l, m, first, last)) return 1;
    jamba_product(&(Product){n, E, D, m->y + first * E, E, l->out_proj, l->out_bias, l->y + first * D, D});
    return 0;
}

typedef struct {
    const Layer *layer;
    Between between;
    int failed[MAX_THREADS];
} Task;

static void step_tasks(const void *task_, int64_t first, int64_t last, int thread) {
    Task *task = (Task *)task_;
    task->failed[thread] = step_rows(task->layer, &task->between, first, last);
}

/* Returns 0, or 1 when memory ran out. */
int jamba_mamba_step(const Layer *l) {
    int64_t B = l->batch, E = l->channels;
    int threads = (int)smaller(smaller(l->threads, MAX_THREADS), B), failed = 0;
    int64_t per_row = 5 * E + projected_size(l) + 2 * l->pairs + (l->pairs ? E * l->states : 0);
    float *memory = (float *)vectors((B * per_row + E * l->states + LANES - 1) / LANES);
    if (!memory) return 1;
    Task task = {.layer = l};
    task.between.xz = memory, task.between.x = memory + 2 * B * E, task.between.dt = memory + 3 * B * E;
    task.between.y = memory + 4 * B * E, task.between.projected = memory + 5 * B * E;
    task.between.cosine = task.between.projected + B * projected_size(l);
    task.between.sine = task.between.cosine + B * l->pairs, task.between.turned = task.between.sine + B * l->pairs;
    task.between.A_log = memory + B * per_row;
    repeat_pairs(l, task.between.A_log);
    run_tasks(step_tasks, &task, B, threads);
    for (int i = 0; i < threads; i++) failed |= task.failed[i];
    free(memory);
    return failed;
}
