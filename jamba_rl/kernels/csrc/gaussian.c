/* Log probabilities under a diagonal Gaussian, and their gradients.

       z = (action - mean) / std,    log p = sum over the dimensions of -z^2 / 2 - log_std - log(2 pi) / 2 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define HALF_LOG_TWO_PI 0.91893853320467274178

typedef struct {
    int64_t rows, size;
    const float *mean;     /* [rows, size] */
    const float *log_std;  /* [size] */
    const float *actions;  /* [rows, size] */
    float *log_prob;       /* [rows] */
    const float *gradient; /* [rows], of log_prob */
    float *dmean;          /* [rows, size] */
    float *dlog_std;       /* [size] */
} Gaussian;

int jamba_gaussian_forward(const Gaussian *g) {
    double constant = 0.0;
    for (int64_t i = 0; i < g->size; i++) constant += g->log_std[i] + HALF_LOG_TWO_PI;
    for (int64_t row = 0; row < g->rows; row++) g->log_prob[row] = (float)-constant;
    for (int64_t i = 0; i < g->size; i++) {
        float precision = expf(-g->log_std[i]);
        for (int64_t row = 0; row < g->rows; row++) {
            float z = (g->actions[row * g->size + i] - g->mean[row * g->size + i]) * precision;
            g->log_prob[row] -= 0.5f * z * z;
        }
    }
    return 0;
}

int jamba_gaussian_backward(const Gaussian *g) {
    for (int64_t i = 0; i < g->size; i++) {
        float precision = expf(-g->log_std[i]), sum = 0.0f;
        for (int64_t row = 0; row < g->rows; row++) {
            float z = (g->actions[row * g->size + i] - g->mean[row * g->size + i]) * precision;
            g->dmean[row * g->size + i] = g->gradient[row] * z * precision;
            sum += g->gradient[row] * (z * z - 1.0f);
        }
        g->dlog_std[i] = sum;
    }
    return 0;
}
