#include "tests/sim/link.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/node.h"
#include "tests/sim/oracle.h"

enum { PATIENCE_US = 5000000, PIECES_MOST = 400 };

static struct node *end_of(struct link *link, enum side side)
{
    return &link->world->nodes[link->ends[side]];
}

static enum side other(enum side side)
{
    return side == LOWER ? UPPER : LOWER;
}

static void at(struct link *link, enum event_kind kind, enum side side, int64_t at_us)
{
    const struct event event = {.kind = (uint8_t)kind,
                                .side = (uint8_t)side,
                                .node = link->ends[side],
                                .life = kind == EVENT_OPEN ? 0 : link->lives[side],
                                .what = link->number};
    world_at(link->world, at_us, event);
}

static int64_t delay(struct link *link)
{
    const struct profile *p = &link->profile;
    return p->least_us +
           (int64_t)seeded_below(&link->dice, (uint64_t)(p->most_us - p->least_us) + 1);
}

struct link *link_new(struct world *world, uint16_t lower, uint16_t upper)
{
    struct link *link = calloc(1, sizeof *link);
    if (world->link_count == world->link_capacity) {
        world->link_capacity = world->link_capacity ? world->link_capacity * 2 : 64;
        world->links = realloc(world->links, world->link_capacity * sizeof(struct link *));
    }
    if (!link || !world->links)
        abort();
    link->world = world;
    link->number = world->link_count;
    world->links[world->link_count++] = link;
    link->ends[LOWER] = lower;
    link->ends[UPPER] = upper;
    link->lives[LOWER] = world->nodes[lower].life;
    link->lives[UPPER] = world->nodes[upper].life;
    link->open[LOWER] = true;
    link->open[UPPER] = true;
    link->profile = world->nodes[lower].profile;
    seeded_rng_start(&link->dice, world->plan->seed * 7919 + lower * 65537u + link->number);
    for (int i = 0; i < 2; i++) {
        struct pipe *pipe = &link->pipes[i];
        buf_init(&pipe->way, SIZE_MAX / 4);
        buf_init(&pipe->out, SIZE_MAX / 4);
        buf_init(&pipe->in, SIZE_MAX / 4);
        pipe->clogged_us = world->nodes[lower].clogged_us[i];
    }
    at(link, EVENT_OPEN, UPPER, world->now_us + delay(link));
    return link;
}

void link_free(struct link *link)
{
    if (!link)
        return;
    for (int i = 0; i < 2; i++) {
        buf_done(&link->pipes[i].way);
        buf_done(&link->pipes[i].out);
        buf_done(&link->pipes[i].in);
    }
    link->world->links[link->number] = NULL;
    free(link);
}

/* ---- sending ---- */

static void schedule(struct link *link, enum side from)
{
    struct pipe *pipe = &link->pipes[from];
    if (pipe->scheduled || pipe->clogged_us == INT64_MAX)
        return;
    pipe->scheduled = true;
    int64_t when = link->world->now_us + delay(link);
    if (when < pipe->clogged_us)
        when = pipe->clogged_us;
    if (when < pipe->last_us)
        when = pipe->last_us;
    pipe->last_us = when;
    at(link, EVENT_DELIVER, other(from), when);
}

static void compact(struct pipe *pipe)
{
    if (pipe->way_at == 0 || (pipe->way_at < 4096 && pipe->way_at < pipe->way.size))
        return;
    memmove(pipe->way.data, pipe->way.data + pipe->way_at, pipe->way.size - pipe->way_at);
    pipe->way.size -= pipe->way_at;
    pipe->way_at = 0;
}

/* Moves what there is room for; whether all of the frame has gone. */
static bool push_out(struct link *link, enum side side)
{
    struct pipe *pipe = &link->pipes[side];
    size_t rest = pipe->out.size - pipe->out_at;
    size_t under_way = pipe->way.size - pipe->way_at;
    size_t room = under_way < link->profile.window ? link->profile.window - under_way : 0;
    size_t size = rest < room ? rest : room;
    if (size && buf_append(&pipe->way, pipe->out.data + pipe->out_at, size) != ERR_OK)
        abort();
    pipe->out_at += size;
    if (size)
        schedule(link, side);
    if (size < rest) {
        link->world->cover[COVER_BACK_PRESSURE]++;
        return false;
    }
    buf_reset(&pipe->out);
    pipe->out_at = 0;
    return true;
}

static void put_frame(struct pipe *pipe, struct bytes frame)
{
    uint8_t head[4];
    be32_put(head, (uint32_t)frame.size);
    if (buf_append(&pipe->out, head, 4) != ERR_OK ||
        buf_append(&pipe->out, frame.data, frame.size) != ERR_OK)
        abort();
}

void link_pump(struct link *link, enum side side)
{
    struct pipe *pipe = &link->pipes[side];
    struct buf frame;
    if (pipe->pumping || !link->open[side] || (side == UPPER && !link->attached))
        return;
    pipe->pumping = true;
    buf_init(&frame, 2 << 20);
    while (link->open[side] && !link->world->failed) {
        if (pipe->out.size && !push_out(link, side))
            break;
        if (!link->open[side])
            break;
        node_next_frame(end_of(link, side), link, side, &frame);
        if (frame.size == 0)
            break;
        put_frame(pipe, buf_view(&frame));
    }
    buf_done(&frame);
    pipe->pumping = false;
    if (link->closing[side] && link->open[side] && pipe->out.size == 0) {
        node_let_go(end_of(link, side), link, side);
        link_close(link, side, false);
    }
}

bool link_inject(struct link *link, enum side side, struct bytes frame)
{
    struct pipe *pipe = &link->pipes[side];
    if (!link->open[side] || pipe->out.size || pipe->pumping || (side == UPPER && !link->attached))
        return false;
    put_frame(pipe, frame);
    link_pump(link, side);
    return true;
}

/* ---- ends ---- */

void link_finish(struct link *link, enum side side)
{
    if (link->closing[side] || !link->open[side])
        return;
    link->closing[side] = true;
    at(link, EVENT_LIMIT, side, link->world->now_us + PATIENCE_US);
    link_pump(link, side);
}

void link_close(struct link *link, enum side side, bool silently)
{
    struct pipe *pipe = &link->pipes[side];
    if (!link->open[side])
        return;
    link->open[side] = false;
    pipe->ended = true;
    pipe->silent = silently;
    buf_reset(&pipe->out);
    if (silently || !link->open[other(side)])
        return;
    schedule(link, side); /* what is under way, then the end */
}

void link_cut(struct link *link, bool lower_learns, bool upper_learns)
{
    const bool learns[2] = {lower_learns, upper_learns};
    link->world->cover[COVER_CUTS]++;
    if (!lower_learns || !upper_learns)
        link->world->cover[COVER_HALF_OPEN]++;
    for (int i = 0; i < 2; i++) {
        struct pipe *pipe = &link->pipes[i];
        buf_reset(&pipe->way);
        pipe->way_at = 0;
        pipe->clogged_us = INT64_MAX; /* what is sent from now on is lost */
        if (learns[i] && link->open[i])
            at(link, EVENT_END, (enum side)i, link->world->now_us + delay(link));
    }
}

void link_clog(struct link *link, enum side side, int64_t until_us)
{
    struct pipe *pipe = &link->pipes[side];
    if (pipe->clogged_us < until_us)
        pipe->clogged_us = until_us;
}

/* ---- receiving ---- */

static void take_frames(struct link *link, enum side to)
{
    struct pipe *pipe = &link->pipes[other(to)];
    size_t done = 0;
    uint32_t frames = 0;
    while (link->open[to] && pipe->in.size - done >= 4 && !link->world->failed) {
        size_t size = be32_get(pipe->in.data + done);
        if (pipe->in.size - done - 4 < size)
            break;
        struct bytes frame = bytes_of(pipe->in.data + done + 4, size);
        done += 4 + size;
        frames++;
        link->world->cover[to == UPPER ? COVER_FRAMES_UP : COVER_FRAMES_DOWN]++;
        node_received(end_of(link, to), link, to, frame);
    }
    if (done)
        memmove(pipe->in.data, pipe->in.data + done, pipe->in.size - done);
    pipe->in.size -= done;
    link->world->cover[COVER_MERGES] += frames > 1;
    link->world->cover[COVER_SPLITS] += pipe->in.size > 0;
    if (pipe->in.size == 0) {
        pipe->began_us = 0;
    } else if (frames || pipe->began_us == 0) {
        pipe->began_us = link->world->now_us;
        at(link, EVENT_LIMIT, to, pipe->began_us + MESSAGE_US);
    }
}

static size_t segment(struct link *link, struct pipe *pipe)
{
    size_t size = pipe->way.size - pipe->way_at;
    if (link->profile.window < 4096 || link->profile.segment_max)
        link->pieces++;
    if (link->pieces >
        PIECES_MOST) { /* enough of that: the rest of the run has other things to do */
        link->profile.window = 64 << 10;
        link->profile.segment_max = 0;
    }
    if (link->profile.segment_max && size > 1) {
        size_t most = size < link->profile.segment_max ? size : link->profile.segment_max;
        size = 1 + seeded_below(&link->dice, most);
    }
    return size;
}

/* The sender is told that nobody is there any more, unless nobody answers at all. */
static void drop_rest(struct link *link, enum side to)
{
    struct pipe *pipe = &link->pipes[other(to)];
    bool any = pipe->way.size > pipe->way_at;
    buf_reset(&pipe->way);
    pipe->way_at = 0;
    if (any && link->open[other(to)] && !link->pipes[to].silent)
        at(link, EVENT_END, other(to), link->world->now_us + delay(link));
}

void link_deliver(struct link *link, enum side to)
{
    struct pipe *pipe = &link->pipes[other(to)];
    struct world *world = link->world;
    pipe->scheduled = false;
    if (!link->open[to]) {
        drop_rest(link, to);
        return;
    }
    if (to == UPPER && !link->attached && !link->open[LOWER]) {
        link->open[UPPER] = false; /* given up before anybody has accepted */
        return;
    }
    if (pipe->clogged_us > world->now_us || (to == UPPER && !link->attached)) {
        if (pipe->clogged_us == INT64_MAX)
            return;
        pipe->last_us = world->now_us + 20000;
        schedule(link, other(to));
        return;
    }
    size_t size = segment(link, pipe);
    bool cut = pipe->cut_at && pipe->passed + size >= pipe->cut_at;
    if (cut)
        size = pipe->cut_at > pipe->passed ? (size_t)(pipe->cut_at - pipe->passed) : 0;
    if (size && buf_append(&pipe->in, pipe->way.data + pipe->way_at, size) != ERR_OK)
        abort();
    if (size)
        world_note_bytes(world, pipe->way.data + pipe->way_at, size);
    pipe->way_at += size;
    pipe->passed += size;
    compact(pipe);
    world->activity += size > 16; /* more than a heartbeat */
    take_frames(link, to);
    if (cut) {
        world->cover[COVER_CUTS_INSIDE] += pipe->in.size > 0;
        link_cut(link, true, seeded_below(&link->dice, 4) != 0);
        return;
    }
    if (pipe->way.size > pipe->way_at)
        schedule(link, other(to));
    else if (pipe->ended && !pipe->silent && link->open[to])
        at(link, EVENT_END, to, world->now_us);
    link_pump(link, other(to));
}
