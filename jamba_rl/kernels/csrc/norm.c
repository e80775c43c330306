/* RMS norm of the parts of a row, each with its own weight, forward and backward:

       y = weight x r,    r = 1 / sqrt(mean(x^2) + eps)

   The rows are those of x_proj's output: dt, B and C (Jamba normalises each); or they have one part, that of a block's
   norm, and the other sizes are zero. */

#include <math.h>
#include <string.h>

#include "norm.h"

static float inverse_root(const float *x, int64_t size, double eps) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < size; i++) sum += x[i] * x[i];
    return 1.0f / sqrtf(sum / (float)size + (float)eps);
}

int jamba_norm_forward(const Norm *n) {
    const float *x = n->x;
    float *y = n->y;
    for (int64_t row = 0; row < n->rows; row++)
        for (int part = 0; part < PARTS && n->size[part]; part++) {
            float r = inverse_root(x, n->size[part], n->eps);
            for (int64_t i = 0; i < n->size[part]; i++) y[i] = n->weight[part][i] * (x[i] * r);
            x += n->size[part], y += n->size[part];
        }
    return 0;
}

/* With u = x r: dx = r (weight dy - u mean(weight dy u)), dweight = sum of dy u. */
int jamba_norm_backward(const Norm *n) {
    const float *x = n->x, *dy = n->dy;
    float *dx = n->dx;
    for (int part = 0; part < PARTS && n->size[part]; part++)
        memset(n->dweight[part], 0, (size_t)n->size[part] * sizeof(float));
    for (int64_t row = 0; row < n->rows; row++)
        for (int part = 0; part < PARTS && n->size[part]; part++) {
            const float *weight = n->weight[part];
            float *dweight = n->dweight[part], r = inverse_root(x, n->size[part], n->eps), sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < n->size[part]; i++) {
                float du = dy[i] * (x[i] * r);
                dweight[i] += du;
                sum += weight[i] * du;
            }
            sum /= (float)n->size[part];
            for (int64_t i = 0; i < n->size[part]; i++) dx[i] = r * (weight[i] * dy[i] - x[i] * r * sum);
            x += n->size[part], dy += n->size[part], dx += n->size[part];
        }
    return 0;
}
