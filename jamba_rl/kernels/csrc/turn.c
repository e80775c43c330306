/* Turns pairs of states: the rows of B and C by the angles of all steps so far, and states by those of a sequence. */

#include "turn.h"

/* The order is that of the fields packed by kernels/turn.py; everything is 8 bytes wide. */
typedef struct {
    int64_t batch, time, pairs, stride; /* stride: of rows of B and C */
    const float *projected;             /* [batch, time, pairs], as all that has no rows */
    float *cosine, *sine;               /* of the sums of angles */
    float *B, *C;                       /* turned back by them; rows of which the first 2 pairs turn */
    float *dB, *dC;                     /* their gradients, to be replaced by those of B and C before they were turned */
    const float *dlast;                 /* [batch, pairs]: gradient of the angles of the last step, or null */
    float *dprojected;
} Rows;

int jamba_turn_rows(const Rows *r) {
    int64_t Q = r->pairs;
    for (int64_t b = 0; b < r->batch; b++)
        for (int64_t q = 0; q < Q; q++) {
            double angle = 0.0; /* from -pi to pi, and exact: a sequence and its parts must agree */
            for (int64_t step = b * r->time; step < (b + 1) * r->time; step++) {
                int64_t at = step * Q + q, row = step * r->stride + q;
                angle += PI * (double)share_of(r->projected[at]);
                angle -= angle > PI ? 2 * PI : angle < -PI ? -2 * PI : 0.0;
                float c = r->cosine[at] = cosf((float)angle), s = r->sine[at] = sinf((float)angle);
                turn_pair(r->B + row, r->B + row + Q, c, -s);
                turn_pair(r->C + row, r->C + row + Q, c, -s);
            }
        }
    return 0;
}

/* A row turned back by an angle: the gradient of the angle, after which that of the row is turned. */
static float turn_row_back(const float *row, float *drow, int64_t pairs, float cosine, float sine) {
    float dangle = row[pairs] * drow[0] - row[0] * drow[pairs];
    turn_pair(drow, drow + pairs, cosine, sine);
    return dangle;
}

/* The angle of a step is in the sums of all that come after it. */
int jamba_turn_rows_backward(const Rows *r) {
    int64_t Q = r->pairs;
    for (int64_t b = 0; b < r->batch; b++)
        for (int64_t q = 0; q < Q; q++) {
            float dangle = r->dlast ? r->dlast[b * Q + q] : 0.0f;
            for (int64_t step = (b + 1) * r->time - 1; step >= b * r->time; step--) {
                int64_t at = step * Q + q, row = step * r->stride + q;
                float c = r->cosine[at], s = r->sine[at], share = share_of(r->projected[at]);
                dangle += turn_row_back(r->B + row, r->dB + row, Q, c, s);
                dangle += turn_row_back(r->C + row, r->dC + row, Q, c, s);
                r->dprojected[at] = dangle * (float)PI * CALM * (1.0f - share * share);
            }
        }
    return 0;
}

typedef struct {
    int64_t batch, channels, states, pairs, per_batch; /* per_batch: stride of the angles */
    const float *cosine, *sine;                        /* of each sequence, [pairs] */
    float *state;                                      /* [batch, channels, states] */
    float *dstate, *dangle; /* gradient of the turned state, to be turned back; [batch, pairs], that of the angles */
} States;

int jamba_turn_states(const States *s) {
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t channel = 0; channel < s->channels; channel++) {
            const float *c = s->cosine + b * s->per_batch, *d = s->sine + b * s->per_batch;
            float *state = s->state + (b * s->channels + channel) * s->states;
            for (int64_t q = 0; q < s->pairs; q++) turn_pair(state + q, state + q + s->pairs, c[q], d[q]);
        }
    return 0;
}

int jamba_turn_states_backward(const States *s) {
    int64_t Q = s->pairs;
    for (int64_t b = 0; b < s->batch; b++) {
        const float *c = s->cosine + b * s->per_batch, *d = s->sine + b * s->per_batch;
        float *dangle = s->dangle + b * Q;
        for (int64_t q = 0; q < Q; q++) dangle[q] = 0.0f;
        for (int64_t channel = 0; channel < s->channels; channel++) {
            int64_t corner = (b * s->channels + channel) * s->states;
            const float *h = s->state + corner;
            float *dh = s->dstate + corner;
            for (int64_t q = 0; q < Q; q++) {
                dangle[q] += h[q] * dh[q + Q] - h[q + Q] * dh[q];
                turn_pair(dh + q, dh + q + Q, c[q], -d[q]);
            }
        }
    }
    return 0;
}
