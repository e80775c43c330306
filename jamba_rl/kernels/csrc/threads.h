/* Tasks over plain threads, started for one call and joined at its end.

   Not OpenMP: a second OpenMP runtime beside torch's would spin on the same cores, and its pool does not survive a
   fork. Starting a thread costs about 20 us, so callers ask for several only when there is work for them. */

#ifndef JAMBA_THREADS_H
#define JAMBA_THREADS_H

#include <pthread.h>
#include <stdint.h>

#define MAX_THREADS 64

/* Does tasks first..last-1; thread says whose scratch memory to use. */
typedef void (*Work)(const void *job, int64_t first, int64_t last, int thread);

typedef struct {
    Work work;
    const void *job;
    int64_t first, last;
    int thread;
} Share;

static inline void *run_share(void *share_) {
    const Share *share = share_;
    share->work(share->job, share->first, share->last, share->thread);
    return 0;
}

/* Splits the tasks into equal runs, the same for the same number of threads: sums come out bit for bit alike. */
static inline void run_tasks(Work work, const void *job, int64_t tasks, int threads) {
    Share shares[MAX_THREADS];
    pthread_t started[MAX_THREADS];
    int running[MAX_THREADS];
    for (int i = 0; i < threads; i++) {
        shares[i] = (Share){work, job, tasks * i / threads, tasks * (i + 1) / threads, i};
        running[i] = i > 0 && pthread_create(&started[i], 0, run_share, &shares[i]) == 0;
    }
    for (int i = 0; i < threads; i++)
        if (!running[i]) run_share(&shares[i]); /* this thread's own share, and those that found no thread */
    for (int i = 1; i < threads; i++)
        if (running[i]) pthread_join(started[i], 0);
}

#endif
