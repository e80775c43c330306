/* A linear layer on few rows: y = x W' + bias. For the many rows of a sequence there is torch's own product. */

#ifndef JAMBA_PRODUCT_H
#define JAMBA_PRODUCT_H

#include <stdint.h>

typedef struct {
    int64_t rows, inputs, outputs;
    const float *x;
    int64_t x_stride;
    const float *weight, *bias; /* [outputs, inputs]; [outputs] or null */
    float *y;
    int64_t y_stride;
} Product;

void jamba_product(const Product *p);

#endif
