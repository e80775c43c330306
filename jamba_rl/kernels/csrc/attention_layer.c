/* One step of a whole layer of windowed attention, for rollouts: projections, rotary positions, attention and its next
   state in one call. Formulas: see attention.h; the projections are linear layers. */

#include <math.h>

#include "attention.h"
#include "product.h"

/* The order is that of the fields packed by kernels/attention_layer.py. All but the caches is contiguous. */
typedef struct {
    int64_t batch, heads, size, window, threads;
    double rope_base;                   /* 0 where positions are not rotary */
    const float *qkv_proj, *qkv_bias;   /* [3 features, features]; [3 features] or null; features: heads times size */
    const float *out_proj, *out_bias;   /* [features, features]; [features] or null */
    const float *lag_bias;              /* [heads, window] or null */
    const float *x;                     /* [batch, features] */
    Seq keys, values;                   /* [batch, window - 1, heads, size] */
    const int64_t *age;                 /* [batch], steps of the episode before */
    const uint8_t *reset;               /* [batch] or null */
    float *y, *new_keys, *new_values;
    int64_t *new_age;
} Layer;

typedef struct {
    const Layer *layer;
    float *qkv, *y; /* [batch, 3 features], [batch, features] */
    int failed[MAX_THREADS];
} Task;

/* The struct of attention alone, for the rows from `first` on. */
static Attention attention_of(const Task *task, int64_t first, int64_t rows) {
    const Layer *l = task->layer;
    int64_t D = l->heads * l->size, V = l->window - 1;
    float *qkv = task->qkv + first * 3 * D;
    Attention a = {.batch = rows, .time = 1, .heads = l->heads, .size = l->size, .window = l->window, .threads = 1};
    a.scale = 1.0 / sqrt((double)l->size);
    a.q = (Seq){qkv, 3 * D, 0}, a.k = (Seq){qkv + D, 3 * D, 0}, a.v = (Seq){qkv + 2 * D, 3 * D, 0};
    a.keys = l->keys, a.keys.data += first * a.keys.per_batch;
    a.values = l->values, a.values.data += first * a.values.per_batch;
    a.age = l->age + first, a.new_age = l->new_age + first, a.bias = l->lag_bias;
    a.reset = (Resets){l->reset ? l->reset + first : 0, 1, 0};
    a.y = (Seq){task->y + first * D, D, 0};
    a.new_keys = (Seq){l->new_keys + first * V * D, V * D, D};
    a.new_values = (Seq){l->new_values + first * V * D, V * D, D};
    return a;
}

/* Turns pairs of features of queries and keys by the angle position * base^(-k / size), as nn/positions.py does. */
static void turn(const Attention *a, double base) {
    for (int64_t k = 0; k < a->size; k += 2) {
        double rate = pow(base, -(double)k / (double)a->size);
        for (int64_t b = 0; b < a->batch; b++) {
            double angle = is_reset(a, b, 0) ? 0.0 : (double)a->age[b] * rate;
            float c = (float)cos(angle), s = (float)sin(angle);
            for (int64_t head = 0; head < 2 * a->heads; head++) { /* keys lie behind queries */
                float *even = step_of(a, &a->q, b, 0, head) + k, *odd = even + 1, x = *even;
                *even = x * c - *odd * s;
                *odd = x * s + *odd * c;
            }
        }
    }
}

/* The whole layer for the rows first..last-1. */
static void step_rows(const void *task_, int64_t first, int64_t last, int thread) {
    Task *task = (Task *)task_;
    const Layer *l = task->layer;
    int64_t n = last - first, D = l->heads * l->size;
    float *qkv = task->qkv + first * 3 * D;
    Attention a = attention_of(task, first, n);
    jamba_product(&(Product){n, D, 3 * D, l->x + first * D, D, l->qkv_proj, l->qkv_bias, qkv, 3 * D});
    if (l->rope_base > 0) turn(&a, l->rope_base);
    task->failed[thread] = jamba_attention_step(&a);
    jamba_product(&(Product){n, D, D, task->y + first * D, D, l->out_proj, l->out_bias, l->y + first * D, D});
}

/* Returns 0, or 1 when memory ran out. */
int jamba_attention_layer(const Layer *l) {
    int64_t size = l->batch * l->heads * l->size;
    int threads = (int)smaller(smaller(l->threads, MAX_THREADS), l->batch), failed = 0;
    float *memory = malloc((size_t)(4 * size) * sizeof(float));
    if (!memory) return 1;
    Task task = {.layer = l, .qkv = memory, .y = memory + 3 * size};
    run_tasks(step_rows, &task, l->batch, threads);
    for (int i = 0; i < threads; i++) failed |= task.failed[i];
    free(memory);
    return failed;
}
