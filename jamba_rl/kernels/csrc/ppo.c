/* PPO's clipped surrogate loss and the squared error of the values, with their gradients (Schulman et al. 2017). */

#include <math.h>
#include <stdint.h>

typedef struct {
    int64_t rows;
    double clip;       /* of the ratio of probabilities, away from 1 */
    double clip_value; /* of a value, away from the old one; infinite for none */
    double vf_coef;
    int64_t normalize; /* whether advantages are brought to mean 0 and deviation 1 */
    const float *log_prob, *values; /* all [rows] */
    const float *advantages, *returns, *old_values, *old_log_prob;
    float *dlog_prob, *dvalues;
    float *results; /* loss, policy loss, value loss, fraction clipped, KL estimate */
} PPO;

/* Deviation as of a sample, and SB3's epsilon. */
static void moments(const PPO *p, double *mean, double *scale) {
    double sum = 0.0, squares = 0.0;
    *mean = 0.0, *scale = 1.0;
    if (!p->normalize || p->rows < 2) return;
    for (int64_t i = 0; i < p->rows; i++) sum += p->advantages[i];
    *mean = sum / (double)p->rows;
    for (int64_t i = 0; i < p->rows; i++) squares += (p->advantages[i] - *mean) * (p->advantages[i] - *mean);
    *scale = 1.0 / (sqrt(squares / (double)(p->rows - 1)) + 1e-8);
}

int jamba_ppo_loss(const PPO *p) {
    double mean, scale, policy = 0.0, value = 0.0, clipped = 0.0, kl = 0.0;
    float low = (float)(1.0 - p->clip), high = (float)(1.0 + p->clip), each = 1.0f / (float)p->rows;
    moments(p, &mean, &scale);
    for (int64_t i = 0; i < p->rows; i++) {
        float advantage = (float)((p->advantages[i] - mean) * scale);
        float log_ratio = p->log_prob[i] - p->old_log_prob[i], ratio = expf(log_ratio);
        float bounded = ratio < low ? low : ratio > high ? high : ratio;
        /* where the bounded one is the smaller, it does not change with the policy */
        int free = !(advantage * ratio > advantage * bounded);
        policy -= free ? advantage * ratio : advantage * bounded;
        p->dlog_prob[i] = free ? -each * advantage * ratio : 0.0f;
        clipped += fabsf(ratio - 1.0f) > (float)p->clip;
        kl += (double)(ratio - 1.0f) - log_ratio;

        float change = p->values[i] - p->old_values[i], limit = (float)p->clip_value;
        float moved = change < -limit ? -limit : change > limit ? limit : change;
        float predicted = isinf(limit) ? p->values[i] : p->old_values[i] + moved;
        float error = predicted - p->returns[i];
        value += (double)error * error;
        p->dvalues[i] = fabsf(change) > limit ? 0.0f : 2.0f * (float)p->vf_coef * each * error;
    }
    policy /= (double)p->rows, value /= (double)p->rows;
    p->results[0] = (float)(policy + p->vf_coef * value);
    p->results[1] = (float)policy, p->results[2] = (float)value;
    p->results[3] = (float)(clipped / (double)p->rows), p->results[4] = (float)(kl / (double)p->rows);
    return 0;
}
