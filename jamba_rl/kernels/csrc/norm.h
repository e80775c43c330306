/* What the RMS norm reads and writes. */

#ifndef JAMBA_NORM_H
#define JAMBA_NORM_H

#include <stdint.h>

#define PARTS 3

/* The order is that of the fields packed by kernels/norm.py; everything is 8 bytes wide. */
typedef struct {
    int64_t rows, size[PARTS];
    double eps;
    const float *x, *weight[PARTS]; /* [rows, sum of the sizes], [size] each */
    float *y;                       /* may be x */
    const float *dy;
    float *dx, *dweight[PARTS];
} Norm;

int jamba_norm_forward(const Norm *norm);

#endif
