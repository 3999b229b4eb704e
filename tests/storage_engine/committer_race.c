/* Four producers, one switch of files, under a sanitizer: see test_kernels_native.py. */
#include "committer.h"

#include <fcntl.h>
#include <stdlib.h>

enum { PRODUCERS = 4, RECORDS = 1500, PENDING = 1 << 20 };

static lh_committer c;

static void *produce(void *argument)
{
    uint8_t body[3000];
    memset(body, (int)(intptr_t)argument, sizeof body);
    for (int i = 0; i < RECORDS; i++) {
        lh_part part = {body, (size_t)(i * 7 % 3000)};
        uint64_t lsn;
        int answer;
        while ((answer = lh_committer_append(&c, 1, i, &part, 1, &lsn)) == LH_FULL)
            lh_committer_wait(&c, UINT64_MAX, 1000000);
        if (answer || (i % 3 == 0 && lh_committer_wait(&c, lsn, 60000000000) != 1))
            abort();
    }
    return NULL;
}

int main(int count, char **arguments)
{
    pthread_t threads[PRODUCERS];
    if (count != 3)
        return 2;
    c.capacity = PENDING + 4096;
    c.pending_max = PENDING;
    c.filling = aligned_alloc(4096, c.capacity);
    c.writing = aligned_alloc(4096, c.capacity);
    c.fd = open(arguments[1], O_CREAT | O_RDWR, 0600);
    int second = open(arguments[2], O_CREAT | O_RDWR, 0600);
    c.notify_fd = -1;
    c.next_lsn = 1;
    if (lh_committer_start(&c))
        return 3;
    for (intptr_t i = 0; i < PRODUCERS; i++)
        pthread_create(&threads[i], NULL, produce, (void *)i);
    if (lh_committer_switch(&c, second, 64, 5))
        return 4;
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    lh_committer_stop(&c);
    free(c.filling);
    free(c.writing);
    return c.durable_lsn == PRODUCERS * RECORDS && c.filled + c.in_flight == 0 ? 0 : 5;
}
