/* One step of Adam for many tensors, and the norm of all their gradients (Kingma & Ba 2015, arXiv 1412.6980). */

#include <math.h>

#include "vector.h"

typedef struct {
    int64_t size;
    float *values;
    const float *gradient;
    float *mean, *square; /* running means of the gradient and of its square */
    float *step;          /* how many there were */
} Parameter;

typedef struct {
    int64_t count;
    Parameter *parameters;
    double lr, beta1, beta2, eps, weight_decay;
    double scale; /* of all gradients */
} Adam;

typedef struct {
    int64_t count;
    const Parameter *parameters;
    double *sum; /* to which the squares are added */
} Squares;

int jamba_sum_squares(const Squares *s) {
    for (int64_t p = 0; p < s->count; p++) {
        const float *gradient = s->parameters[p].gradient;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < s->parameters[p].size; i++) sum += gradient[i] * gradient[i];
        *s->sum += sum;
    }
    return 0;
}

static void update(const Adam *a, const Parameter *p) {
    double t = *p->step += 1.0f;
    float correction = (float)(1.0 / sqrt(1.0 - pow(a->beta2, t))), rate = (float)(a->lr / (1.0 - pow(a->beta1, t)));
    float beta2 = (float)a->beta2, rest1 = (float)(1.0 - a->beta1), rest2 = (float)(1.0 - a->beta2);
    float scale = (float)a->scale, decay = (float)a->weight_decay, eps = (float)a->eps;
    float *restrict values = p->values, *restrict mean = p->mean, *restrict square = p->square;
    const float *restrict given = p->gradient;
#pragma omp simd
    for (int64_t i = 0; i < p->size; i++) {
        float gradient = scale * given[i] + decay * values[i];
        mean[i] += rest1 * (gradient - mean[i]);
        square[i] = beta2 * square[i] + rest2 * gradient * gradient;
        values[i] -= rate * mean[i] / (sqrtf(square[i]) * correction + eps);
    }
}

int jamba_adam(const Adam *a) {
    for (int64_t p = 0; p < a->count; p++) update(a, &a->parameters[p]);
    return 0;
}
