/* tanh in place, and back through it: the activation of the heads of a policy, where torch's takes longer than the
   products around it. */

#include "vector.h"

typedef struct {
    int64_t rows, size;
    float *y;     /* [rows, size]: forward, what to replace by its tanh; backward, that */
    float *dy;    /* [rows, size]: gradient of y, to be replaced by that of its argument */
    float *dbias; /* [size]: the sum of that over the rows */
} Tanh;

int jamba_tanh_forward(const Tanh *n) {
    int64_t total = n->rows * n->size;
    for (int64_t i = 0; i < total; i += LANES) {
        int count = total - i < LANES ? (int)(total - i) : LANES;
        store(n->y + i, tanh_of(load(n->y + i, count)), count);
    }
    return 0;
}

int jamba_tanh_backward(const Tanh *n) {
    memset(n->dbias, 0, (size_t)n->size * sizeof(float));
    for (int64_t row = 0; row < n->rows; row++) {
        const float *y = n->y + row * n->size;
        float *dy = n->dy + row * n->size;
        for (int64_t i = 0; i < n->size; i++) {
            dy[i] *= 1.0f - y[i] * y[i];
            n->dbias[i] += dy[i];
        }
    }
    return 0;
}
