/* A linear layer on few rows. */

#include "product.h"
#include "tensor.h"

/* A block of y has as many elements as a vector has lanes. */
#define OUTPUTS 4
#define ROWS (LANES / OUTPUTS)
#define EACH_OUTPUT _Pragma("GCC unroll 4") for (int k = 0; k < OUTPUTS; k++)
#define EACH_SUM _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++)
#define EACH_ROW _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++)

INLINE void write_block(const Product *p, int64_t row, int64_t output, int rows, vec sums) {
    int64_t count = smaller(OUTPUTS, p->outputs - output);
    vec4 bias = {0}, part;
    if (p->bias) memcpy(&bias, p->bias + output, (size_t)count * sizeof(float));
    EACH_ROW {
        float *y = p->y + (row + r) * p->y_stride + output;
        memcpy(&part, (const float *)&sums + r * OUTPUTS, sizeof part);
        part += bias;
        if (count == OUTPUTS) memcpy(y, &part, sizeof part);
        else memcpy(y, &part, (size_t)count * sizeof(float));
    }
}

/* `rows` (a constant) times OUTPUTS elements of y. Outputs beyond the last are computed as the last, not written. Where
   inputs are no whole vectors, the last one begins among inputs that count already: there `fresh` is zero. */
INLINE void product_block(const Product *p, int64_t row, int64_t output, int rows, ivec fresh) {
    vec sums[LANES];
    EACH_SUM sums[i] = splat(0.0f);
    const float *x = p->x + row * p->x_stride, *w[OUTPUTS];
    EACH_OUTPUT w[k] = p->weight + smaller(output + k, p->outputs - 1) * p->inputs;
    int64_t i = 0, last = p->inputs - LANES;
    do { /* not a for: sums must see that this happens, or they live in memory */
        ivec counted = i > last ? fresh : ~(ivec){0};
        int64_t from = smaller(i, last);
        vec weight[OUTPUTS];
        EACH_OUTPUT weight[k] = (vec)((ivec)load(w[k] + from, LANES) & counted);
        EACH_ROW {
            vec in = load(x + r * p->x_stride + from, LANES);
            EACH_OUTPUT sums[r * OUTPUTS + k] += in * weight[k];
        }
    } while ((i += LANES) < p->inputs);
    write_block(p, row, output, rows, lane_sums(sums));
}

/* Fewer inputs than lanes: here lanes run over outputs. */
static void narrow_product(const Product *p) {
    vec weight[LANES];
    for (int64_t output = 0; output < p->outputs; output += LANES) {
        int count = (int)smaller(LANES, p->outputs - output);
        to_lanes(weight, p->weight + output * p->inputs, count, p->inputs, p->inputs);
        vec bias = p->bias ? load(p->bias + output, count) : splat(0.0f);
        for (int64_t row = 0; row < p->rows; row++) {
            vec y = bias;
            for (int64_t i = 0; i < p->inputs; i++) y += splat(p->x[row * p->x_stride + i]) * weight[i];
            store(p->y + row * p->y_stride + output, y, count);
        }
    }
}

void jamba_product(const Product *p) {
    if (p->inputs < LANES) {
        narrow_product(p);
        return;
    }
    ivec fresh;
    EACH_SUM fresh[i] = i >= (LANES - p->inputs % LANES) % LANES ? -1 : 0;
    for (int64_t output = 0; output < p->outputs; output += OUTPUTS) {
        int64_t row = 0;
        for (; row + ROWS <= p->rows; row += ROWS) product_block(p, row, output, ROWS, fresh);
        for (; row < p->rows; row++) product_block(p, row, output, 1, fresh);
    }
}
