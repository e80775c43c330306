/* The backward pass of the scan. With a_t = exp(dt_t A):

       dh_t = C_t dy_t + a_{t+1} dh_{t+1}
       dC_t = dy_t h_t      dB_t = dh_t dt_t x_t      d(dt_t x_t) = dh_t B_t      d(dt_t A) = dh_t a_t h_{t-1} */

#include "scan.h"

/* What the chunk needs before its tiles: inputs, and the gradient of y before the gate. Writes that of z. */
static void read_steps(Steps *m, const Scan *s, const Part *part) {
    for (int64_t t = 0; t < part->steps; t++) {
        Inputs in = read_inputs(s, part, t);
        m->x[t] = in.x, m->dt[t] = in.dt, m->slope[t] = in.slope, m->input[t] = in.dt * in.x;
        vec dy = load(at(&s->dy, part, t), part->count);
        if (s->z.data) {
            vec z = load(at(&s->z, part, t), part->count), gate = sigmoid(z);
            vec ungated = load(at(&s->ungated, part, t), part->count);
            vec slope = gate * (splat(1.0f) + z * (splat(1.0f) - gate)); /* of silu */
            store(at(&s->dz, part, t), dy * ungated * slope, part->count);
            dy *= z * gate;
        }
        m->y[t] = dy;
        m->ddt[t] = m->dinput[t] = splat(0.0f);
    }
}

/* TILE states over the steps of a chunk, once more: the decays and the state before each step; h ends as the last. */
INLINE void recompute_tile(vec *h, Steps *m, const uint8_t *reset, const vec *A2, const float *B, int64_t padded,
                           int64_t steps) {
    for (int64_t t = 0; t < steps; t++, B += padded) {
        vec dt = m->dt[t], input = m->input[t];
        EACH_STATE m->before[t][n] = h[n];
        if (reset[t]) {
            EACH_STATE {
                m->decay[t][n] = splat(0.0f);
                h[n] = input * splat(B[n]);
            }
        } else {
            EACH_STATE {
                vec decay = exp2_of(dt, A2[n]);
                m->decay[t][n] = decay;
                h[n] = decay * h[n] + input * splat(B[n]);
            }
        }
    }
}

/* The gradients of TILE states over the steps of a chunk; carry is a_{t+1} dh_{t+1} of the step after. */
INLINE void backward_tile(const vec *h_, vec *carry_, vec *dA_, Steps *m, const uint8_t *reset, const vec *A2_,
                          const float *B, const float *C, vec *dB, vec *dC, int first_block, int64_t padded,
                          int64_t steps) {
    vec h[TILE], carry[TILE], dA[TILE], A2[TILE];
    EACH_STATE h[n] = h_[n], A2[n] = A2_[n];
    recompute_tile(h, m, reset, A2, B, padded, steps);
    EACH_STATE carry[n] = carry_[n], dA[n] = dA_[n];
    for (int64_t t = steps - 1; t >= 0; t--) {
        vec dt = m->dt[t], input = m->input[t], dy = m->y[t], ddt = m->ddt[t], dinput = m->dinput[t];
        int64_t r = t * padded;
        EACH_STATE {
            vec before = m->before[t][n];
            vec dh = carry[n] + dy * splat(C[r + n]);
            dC[r + n] = first_block ? dy * h[n] : dC[r + n] + dy * h[n];
            dB[r + n] = first_block ? dh * input : dB[r + n] + dh * input;
            dinput += dh * splat(B[r + n]);
            carry[n] = dh * m->decay[t][n];
            vec dlog = carry[n] * before;
            ddt += dlog * A2[n];
            dA[n] += dlog * dt;
            h[n] = before;
        }
        m->ddt[t] = ddt;
        m->dinput[t] = dinput;
    }
    EACH_STATE carry_[n] = carry[n], dA_[n] = dA[n];
}

/* From the gradients of dt A and dt x to those of dt and x, and sums for D and the bias. */
static void write_input_gradients(const Steps *m, const Scan *s, const Part *part, vec *dD, vec *dbias) {
    vec D = s->D ? load(s->D + part->channel, part->count) : splat(0.0f);
    for (int64_t t = 0; t < part->steps; t++) {
        vec x = m->x[t];
        vec ddt = (m->ddt[t] * splat(LN2) + m->dinput[t] * x) * m->slope[t];
        store(at(&s->ddt, part, t), ddt, part->count);
        store(at(&s->dx, part, t), m->dinput[t] * m->dt[t] + D * m->y[t], part->count);
        *dbias += ddt;
        *dD += m->y[t] * x;
    }
}

INLINE void backward_block(const Job *job, const Memory *m, int64_t b, int64_t chunk, int64_t block, int first_block) {
    const Scan *s = job->scan;
    Part part = part_of(job, b, chunk, block);
    int64_t corner = (b * s->channels + part.channel) * s->states;
    vec *carry = m->carry + block * job->padded, *sums = m->sums + block * (job->padded + 2);
    if (chunk == job->chunks - 1)
        to_lanes(carry, s->dfinal ? s->dfinal + corner : 0, part.count, s->states, job->padded);
    prefetch_inputs(s, &part);
    prefetch(&s->ungated, &part, LANES);
    prefetch(&s->dy, &part, LANES);
    prefetch_results(&s->dx, &part);
    prefetch_results(&s->ddt, &part);
    read_steps(m->steps, s, &part);
    const vec *A2 = job->A2 + block * job->padded, *h = checkpoint(job, b, chunk, block);
    for (int64_t n = 0; n < job->padded; n += TILE)
        backward_tile(h + n, carry + n, sums + n, m->steps, m->reset, A2 + n, m->B + n, m->C + n, m->dB + n, m->dC + n,
                      first_block, job->padded, part.steps);
    write_input_gradients(m->steps, s, &part, sums + job->padded, sums + job->padded + 1);
    if (chunk == 0 && s->dinitial) from_lanes(s->dinitial + corner, carry, part.count, s->states);
}

/* Sums over lanes: [steps, padded, LANES] to the chunk's rows of dB or dC. */
static void write_row_gradients(const Seq *to, const vec *from, const Part *part, int64_t states, int64_t padded) {
    for (int64_t t = 0; t < part->steps; t++) {
        float *row = at(to, part, t);
        for (int64_t n = 0; n < states; n += 4) {
            vec4 sums = sum_lanes_of_4(from + t * padded + n);
            memcpy(row + n, &sums, (size_t)smaller(4, states - n) * sizeof(float));
        }
    }
}

/* Where a group writes dB or dC: to the result, or where all groups' are added up later. */
static Seq rows_of_group(const Job *job, const Seq *result, float *group_rows, int64_t group) {
    const Scan *s = job->scan;
    if (!group_rows) return *result;
    int64_t per_batch = s->time * s->states;
    return (Seq){group_rows + group * s->batch * per_batch, per_batch, s->states};
}

static void backward_tasks(const void *job_, int64_t first, int64_t last, int thread) {
    const Job *job = job_;
    const Scan *s = job->scan;
    Memory m = jamba_memory(job, thread);
    memset(m.sums, 0, (size_t)(job->blocks * (job->padded + 2)) * sizeof(vec));
    for (int64_t task = first; task < last; task++) {
        int64_t b = task / job->groups, group = task % job->groups;
        Seq dB = rows_of_group(job, &s->dB, job->group_dB, group), dC = rows_of_group(job, &s->dC, job->group_dC, group);
        for (int64_t chunk = job->chunks - 1; chunk >= 0; chunk--) {
            Part whole = part_of(job, b, chunk, 0);
            read_chunk(job, &m, &whole);
            int64_t block = first_block(job, group);
            backward_block(job, &m, b, chunk, block++, 1); /* sets dB and dC, the others add */
            while (block < first_block(job, group + 1)) backward_block(job, &m, b, chunk, block++, 0);
            write_row_gradients(&dB, m.dB, &whole, s->states, job->padded);
            write_row_gradients(&dC, m.dC, &whole, s->states, job->padded);
        }
    }
}

/* Adds up what the threads have kept apart, always in the same order. */
static void collect_parameters(const Job *job) {
    const Scan *s = job->scan;
    int64_t padded = job->padded;
    vec *sums = jamba_memory(job, 0).sums;
    for (int64_t block = 0; block < job->blocks; block++, sums += padded + 2) {
        int64_t channel = block * LANES;
        int count = (int)smaller(LANES, s->channels - channel);
        for (int thread = 1; thread < job->threads; thread++)
            for (int64_t n = 0; n < padded + 2; n++) sums[n] += sums[thread * job->memory_size + n];
        if (s->log_A) /* A = -exp(A_log), so that dA_log = dA A */
            for (int64_t n = 0; n < padded; n++) sums[n] *= job->A2[block * padded + n] * splat(LN2);
        from_lanes(s->dA + channel * s->states, sums, count, s->states);
        if (s->dD) store(s->dD + channel, sums[padded], count);
        if (s->ddt_bias) store(s->ddt_bias + channel, sums[padded + 1], count);
    }
}

static void collect_rows(const Job *job, const Seq *to, const float *group_rows) {
    const Scan *s = job->scan;
    int64_t size = s->batch * s->time * s->states;
    for (int64_t i = 0; i < size; i++) {
        float sum = 0.0f;
        for (int64_t group = 0; group < job->groups; group++) sum += group_rows[group * size + i];
        int64_t b = i / (s->time * s->states), t = i / s->states % s->time, n = i % s->states;
        to->data[b * to->per_batch + t * to->per_step + n] = sum;
    }
}

/* Returns 0, or 1 when memory ran out. */
int jamba_scan_backward(const Scan *s) {
    Job job;
    int failed = jamba_start(&job, s, 1);
    if (!failed) {
        run_tasks(backward_tasks, &job, s->batch * job.groups, job.threads);
        collect_parameters(&job);
        if (job.groups > 1) {
            collect_rows(&job, &s->dB, job.group_dB);
            collect_rows(&job, &s->dC, job.group_dC);
        }
    }
    jamba_finish(&job);
    return failed;
}
