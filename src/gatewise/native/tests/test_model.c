/* The core through its public header: steps against formulas in double, equal bits in any chunking, sessions, states. */
#include "clock.h"
#include "graphs.h"

static double activate(const float *option, double x) {
    switch ((int)option[0]) {
    case GW_RELU:
        return x > 0 ? x : 0;
    case GW_TANH:
        return tanh(x);
    case GW_SIGMOID:
        return 1 / (1 + exp(-x));
    case GW_HARD_SIGMOID:
        return fmin(1, fmax(0, (double)option[1] * x + (double)option[2]));
    default:
        return x;
    }
}

static double dot(const float *w, const double *x, int count) {
    double sum = 0;
    for (int k = 0; k < count; k++) sum += (double)w[k] * x[k];
    return sum;
}

/* h (H) becomes h', by the equations in double. */
static void gru_exact(const gru *g, const double *x, double *h) {
    const int H = g->H, I = g->I;
    const float *gate = g->options + GW_GRU_GATE_ACTIVATION, *act = g->options + GW_GRU_ACTIVATION;
    double *r = malloc(3 * (size_t)H * sizeof *r), *z = r + H, *rh = z + H, *next = malloc((size_t)H * sizeof *next);
    for (int j = 0; j < 2 * H; j++)
        r[j] = activate(gate, dot(g->weight_ih + j * I, x, I) + (double)g->bias_ih[j] +
                                  dot(g->weight_hh + j * H, h, H) + (double)g->bias_hh[j]);
    for (int j = 0; j < H; j++) rh[j] = r[j] * h[j];
    for (int j = 0; j < H; j++) {
        const int row = 2 * H + j;
        const float *w = g->weight_hh + row * H;
        const double b = (double)g->bias_hh[row];
        const double recurrent = g->options[GW_GRU_RESET] != 0 ? dot(w, rh, H) + b : r[j] * (dot(w, h, H) + b);
        const double n = activate(act, dot(g->weight_ih + row * I, x, I) + (double)g->bias_ih[row] + recurrent);
        next[j] = (1 - z[j]) * n + z[j] * h[j];
    }
    memcpy(h, next, (size_t)H * sizeof *h);
    free(next);
    free(r);
}

/* Two steps of one unit worked out by hand:
 * r = s(0.5 + 0.1), z = s(-0.25 - 0.2), n = tanh(1 + 0.3 r), h = (1 - z) n; then the same with x = -1 and this h. */
static void test_by_hand(const char *cpu) {
    static const float weight_ih[] = {0.5f, -0.25f, 1.0f}, weight_hh[] = {0.75f, 0.5f, -1.0f};
    static const float bias_ih[] = {0.1f, -0.2f, 0.0f}, bias_hh[] = {0.0f, 0.0f, 0.3f};
    const gw_tensor tensors[] = {{weight_ih, 3, 1}, {weight_hh, 3, 1}, {bias_ih, 3, 1}, {bias_hh, 3, 1}};
    const gw_node node = {"gru", first_edge, 1, 1, usual, GW_GRU_OPTIONS, tensors, GW_GRU_TENSORS};
    const int widths[] = {1, 1};
    const gw_graph graph = {&node, 1, widths, 2, 1, 1, 0, 0};
    session s = opened(&graph, cpu);
    const float x[] = {1.0f, -1.0f};
    float y[2];
    gw_run(s.model, 2, x, s.state, y, s.scratch);
    check(fabsf(y[0] - 0.50788203f) < 2e-7f && fabsf(y[1] - -0.04809789f) < 2e-7f, "%s: a GRU by hand: %.8f %.8f", cpu,
          (double)y[0], (double)y[1]);
    closed(&s);
}

static void test_gru(const char *cpu, int I, int H, const float *options, const char *what) {
    enum { STEPS = 40 };
    gru g;
    gru_draw(&g, I, H, options);
    session s = opened(&g.graph, cpu);
    float *x = draws((size_t)(STEPS * I), 1.0f), *y = malloc(STEPS * (size_t)H * sizeof *y);
    double *h = calloc((size_t)H, sizeof *h), *exact_x = malloc((size_t)I * sizeof *exact_x), worst = 0;
    check(gw_run(s.model, STEPS, x, s.state, y, s.scratch) == GW_OK, "%s: gru %s %d -> %d runs", cpu, what, I, H);
    for (int t = 0; t < STEPS; t++) {
        for (int k = 0; k < I; k++) exact_x[k] = (double)x[t * I + k];
        gru_exact(&g, exact_x, h);
        for (int j = 0; j < H; j++) worst = fmax(worst, fabs((double)y[t * H + j] - h[j]) / fmax(1, fabs(h[j])));
    }
    check(worst < 2e-6, "%s: gru %s %d -> %d against double: %.1e", cpu, what, I, H, worst);
    check(!memcmp(y + (STEPS - 1) * H, s.state, (size_t)H * sizeof *y), "%s: the state is the last answer", cpu);

    /* The same steps one by one and in chunks, from and to places that are aligned to nothing. */
    char *unaligned = malloc((STEPS * (size_t)(I + H) + (size_t)H) * sizeof(float) + 4);
    float *x2 = (float *)(void *)(unaligned + 4), *y2 = x2 + STEPS * I, *state = y2 + STEPS * H;
    memcpy(x2, x, STEPS * (size_t)I * sizeof *x);
    for (int chunk = 1; chunk <= 7; chunk += 3) {
        gw_reset(s.model, state);
        for (int t = 0; t < STEPS; t += chunk) {
            const int n = STEPS - t < chunk ? STEPS - t : chunk;
            gw_run(s.model, (size_t)n, x2 + t * I, state, y2 + t * H, s.scratch);
        }
        check(!memcmp(y, y2, STEPS * (size_t)H * sizeof *y), "%s: chunks of %d give the same bits", cpu, chunk);
    }
    free(unaligned);
    free(exact_x);
    free(h);
    free(y);
    free(x);
    closed(&s);
    gru_free(&g);
}

static void test_chain(const char *cpu) {
    enum { STEPS = 30 };
    chain c;
    chain_draw(&c);
    session s = opened(&c.graph, cpu);
    check(s.sizes.state_floats == COLUMNS + UNITS + 6 + 4 * COLUMNS && s.sizes.inputs == COLUMNS &&
              s.sizes.outputs == 5,
          "%s: a chain of four nodes", cpu);
    double held[COLUMNS] = {0}, h[UNITS] = {0}, m = 0, log_scale = 0, smoothed = 0, worst = 0;
    for (int t = 0; t < STEPS; t++) {
        float x[COLUMNS], y[5];
        for (int i = 0; i < COLUMNS; i++) x[i] = c.offset[i] + 4 * draw();
        if (t % 5 == 3) x[1] = NAN;
        if (t % 7 == 3) x[2] = -INFINITY;
        gw_step(s.model, x, s.state, y, s.scratch);
        for (int i = 0; i < COLUMNS; i++)
            if (isfinite(x[i])) held[i] = ((double)x[i] - (double)c.offset[i]) / (double)c.scale[i];
        gru_exact(&c.g, held, h);
        const double d = exp(log_scale), u = (held[2] - m) / d;
        smoothed += 0.25 * (u - smoothed);
        const double e = fabs(smoothed);
        const double score = e < 0.5 ? e / 2 : e < 1 ? 0.25 + 1.5 * (e - 0.5) : 1 + 3 * (e - 1);
        const double wanted[] = {score, m, m + d * -1.5, m + d * 2, score > 3};
        for (int i = 0; i < 5; i++) {
            const double scaled = i % 4 ? wanted[i] * (double)c.unit[1] + (double)c.unit[0] : wanted[i];
            worst = fmax(worst, fabs((double)y[i] - scaled) / fmax(1, fabs(scaled)));
        }
        m = dot(c.weight, h, UNITS) + (double)c.bias[0];
        log_scale = dot(c.weight + UNITS, h, UNITS) + (double)c.bias[1];
    }
    check(worst < 1e-5, "%s: the chain against double: %.1e", cpu, worst);
    closed(&s);
    gru_free(&c.g);
}

static void test_dense(const char *cpu) {
    static const float options[][3] = {{GW_LINEAR},  {GW_RELU},    {GW_TANH},
                                       {GW_SIGMOID}, {GW_SOFTMAX}, {GW_HARD_SIGMOID, 0.2f, 0.5f}};
    enum { I = 5, U = 21 };
    float *weight = draws(U * I, 2.0f), *bias = draws(U, 1.0f), x[I], y[U];
    const gw_tensor tensors[] = {{weight, U, I}, {bias, U, 1}};
    const int widths[] = {I, U};
    for (size_t k = 0; k < sizeof options / sizeof options[0]; k++) {
        const gw_node node = {"dense", first_edge, 1, 1, options[k], 3, tensors, 2};
        const gw_graph graph = {&node, 1, widths, 2, 1, 1, 0, 0};
        session s = opened(&graph, cpu);
        double exact_x[I], wanted[U], sum = 0, worst = 0;
        for (int i = 0; i < I; i++) exact_x[i] = (double)(x[i] = draw());
        gw_step(s.model, x, s.state, y, s.scratch);
        for (int j = 0; j < U; j++) {
            wanted[j] = activate(options[k], dot(weight + j * I, exact_x, I) + (double)bias[j]);
            if (k == GW_SOFTMAX) sum += wanted[j] = exp(wanted[j]);
        }
        for (int j = 0; j < U; j++)
            worst = fmax(worst, fabs((double)y[j] - (k == GW_SOFTMAX ? wanted[j] / sum : wanted[j])));
        check(worst < 1e-6, "%s: dense with activation %zu: %.1e", cpu, k, worst);
        closed(&s);
    }
    free(weight);
    free(bias);
}

/* Softmax of numbers whose exponentials overflow. */
static void test_large_softmax(const char *cpu) {
    static const float weight[] = {1000.0f, 999.0f, -1000.0f}, bias[3], option[] = {GW_SOFTMAX, 0, 0};
    const gw_tensor tensors[] = {{weight, 3, 1}, {bias, 3, 1}};
    const gw_node node = {"dense", first_edge, 1, 1, option, 3, tensors, 2};
    const int widths[] = {1, 3};
    const gw_graph graph = {&node, 1, widths, 2, 1, 1, 0, 0};
    session s = opened(&graph, cpu);
    const float x = 1.0f;
    float y[3];
    gw_step(s.model, &x, s.state, y, s.scratch);
    check(fabsf(y[0] - 0.73105858f) < 1e-6f && fabsf(y[1] - 0.26894142f) < 1e-6f && y[2] == 0.0f, "%s: large softmax",
          cpu);
    closed(&s);
}

/* One model, two sessions in turns: each as if it were alone. */
static void test_sessions(const char *cpu) {
    enum { I = 4, H = 20, STEPS = 25 };
    gru g;
    gru_draw(&g, I, H, reset_before);
    session s = opened(&g.graph, cpu);
    float *x[2] = {draws(STEPS * I, 1.0f), draws(STEPS * I, 1.0f)}, alone[2][STEPS * H], turns[2][STEPS * H],
          state[2][H];
    for (int k = 0; k < 2; k++) {
        gw_reset(s.model, state[k]);
        gw_run(s.model, STEPS, x[k], state[k], alone[k], s.scratch);
        gw_reset(s.model, state[k]);
    }
    for (int t = 0; t < STEPS; t++)
        for (int k = 0; k < 2; k++) gw_step(s.model, x[k] + t * I, state[k], turns[k] + t * H, s.scratch);
    check(!memcmp(alone, turns, sizeof alone), "%s: two sessions of one model do not touch each other", cpu);
    free(x[0]);
    free(x[1]);
    closed(&s);
    gru_free(&g);
}

/* Two columns, worked out by hand: the first misses a reading in the middle, the second all but one. */
static void test_missing(const char *cpu) {
    enum { STEPS = 4, WIDE = 4 };
    masked m;
    masked_draw(&m);
    static const float x[STEPS * 2] = {1, NAN, INFINITY, -INFINITY, 4, 6, NAN, NAN};
    static const float held[STEPS * WIDE] = {1, 0, 0, 1, 1, 0, 1, 1, 4, 6, 0, 0, 4, 6, 1, 1};
    /* The first has the readings 1 and 4: mean 2.5, variance 2.25. The second has 6 alone. Epsilon is 0.25. */
    const float u = 1.5f / sqrtf(2.5f);
    const float units[STEPS * WIDE] = {-u, 0, 0, 1, 0, 0, 1, 1, u, 0, 0, 0, 0, 0, 1, 1};
    gw_graph first = m.graph;
    first.node_count = 1, first.edge_count = 2, first.output = 1;
    session one = opened(&first, cpu), all = opened(&m.graph, cpu);
    float y[STEPS * WIDE];
    for (int t = 0; t < STEPS; t++) gw_step(one.model, x + 2 * t, one.state, y + WIDE * t, one.scratch);
    check(!memcmp(y, held, sizeof held), "%s: a mask says where the last reading stands in, step by step", cpu);
    check(one.sizes.state_floats == 2 && one.state[0] == 4 && one.state[1] == 6, "%s: the state is what is held", cpu);
    gw_reset(one.model, one.state);
    gw_run(one.model, STEPS, x, one.state, y, one.scratch);
    check(!memcmp(y, held, sizeof held), "%s: and in a sequence", cpu);
    void *scratch = exactly(gw_scratch_bytes(all.model, 1, STEPS));
    gw_run(all.model, STEPS, x, all.state, y, scratch);
    float worst = 0;
    for (int i = 0; i < STEPS * WIDE; i++) worst = fmaxf(worst, fabsf(y[i] - units[i]));
    check(worst <= 2e-7f, "%s: moments are those of what was read, off by %.1e", cpu, (double)worst);
    free(scratch);
    closed(&one);
    closed(&all);
}

/* A state that fades for 10^5 steps of silence: never a denormal in it, which would make the steps slow. With
 * -DGW_FULL=1 the times are printed; a GRU's answer is its state. */
static void test_silence(const char *cpu) {
    enum { H = 16, ROUNDS = 100, STEPS = 1000 };
    gru g;
    gru_draw(&g, 1, H, usual);
    for (int i = 0; i < 3 * H; i++) g.bias_ih[i] = g.bias_hh[i] = 0;
    for (int i = 0; i < 3 * H * H; i++) g.weight_hh[i] *= 0.1f;
    session s = opened(&g.graph, cpu);
    for (int j = 0; j < H; j++) s.state[j] = draw();
    static const float silence[STEPS];
    static float y[STEPS * H];
    double first = INFINITY, last = INFINITY;
    int denormal = 0, alive = 0;
    for (int k = 0; k < ROUNDS; k++) {
        const double start = gw_now();
        gw_run(s.model, STEPS, silence, s.state, y, s.scratch);
        const double spent = gw_now() - start;
        if (k < ROUNDS / 2)
            first = fmin(first, spent);
        else
            last = fmin(last, spent);
        for (int i = 0; i < STEPS * H; i++) denormal |= y[i] != 0.0f && fabsf(y[i]) < 0x1p-64f;
    }
    for (int j = 0; j < H; j++) alive |= s.state[j] != 0.0f;
    check(!denormal && !alive, "%s: 100,000 silent steps end at zero, by no denormal", cpu);
#if GW_FULL
    printf("        %s: %.0f ns a step at the start, %.0f at the end\n", cpu, first / STEPS * 1e9, last / STEPS * 1e9);
#endif
    closed(&s);
    gru_free(&g);
}

/* A column that stays three deviations up: its short level leaves the range after the first step, and the evidence of that
 * grows by the factor outside until it is 1, where it stays. */
static void test_evidence(const char *cpu) {
    enum { AWAY = 2, STEPS = 80 };
    chain c;
    chain_draw(&c);
    float options[TAIL_OPTIONS], x[COLUMNS], y[5], expected = 0.0f, level = 0.0f;
    memcpy(options, tail_options, sizeof options);
    options[GW_TAIL_PROBABILITY_RATE_START] = 0.0f; /* no test of the rate */
    c.nodes[3].options = options;
    for (int i = 0; i < COLUMNS; i++) x[i] = c.offset[i];
    x[AWAY] += 10.0f * c.scale[AWAY];
    session s = opened(&c.graph, cpu);
    int place = 99, same = 1, decided = 0;
    check(gw_evidence(s.model, s.state, &place) == 0.0f && place == -1, "%s: no evidence at the start", cpu);
    for (int t = 0; t < STEPS; t++) {
        gw_step(s.model, x, s.state, y, s.scratch);
        level += 2.0f / 17.0f * (3.0f - level);
        if (expected < 1.0f) expected = (expected + 1.0f / (8e7f * COLUMNS)) * (level > 0.5f ? 1.5f : 0.9f);
        const float found = gw_evidence(s.model, s.state, &place);
        if (!decided) same &= fabsf(found - expected) <= 1e-5f * expected && place == (t ? 2 + 2 * AWAY : 2);
        decided += found >= 1.0f; /* the other span follows, and may have more in the end */
    }
    check(same, "%s: evidence of a level is the sum worked out by hand, and says of which column", cpu);
    check(decided > 10 && decided < STEPS, "%s: it decides once, and stays", cpu);
    gw_reset(s.model, s.state);
    check(gw_evidence(s.model, s.state, NULL) == 0.0f, "%s: a new sequence has none", cpu);
    closed(&s);
    gru_free(&c.g);
}

int main(void) {
    static const int shapes[][2] = {{1, 1}, {3, 5}, {5, 16}, {16, 32}, {7, 33}, {2, 70}};
    static const float others[][8] = {
        {0, GW_HARD_SIGMOID, 0.2f, 0.5f, GW_RELU, 0, 0},
        {1, GW_HARD_SIGMOID, 1.0f / 6, 0.5f, GW_LINEAR, 0, 0},
        {0, GW_TANH, 0, 0, GW_SIGMOID, 0, 0},
    };
    const char *cpu;
    for (int i = 0; (cpu = gw_cpu(i)); i++) {
        test_by_hand(cpu);
        for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
            test_gru(cpu, shapes[k][0], shapes[k][1], usual, "after");
            test_gru(cpu, shapes[k][0], shapes[k][1], reset_before, "before");
        }
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) test_gru(cpu, 3, 11, others[k], "otherwise");
        test_dense(cpu);
        test_large_softmax(cpu);
        test_chain(cpu);
        test_missing(cpu);
        test_evidence(cpu);
        test_sessions(cpu);
        test_silence(cpu);
    }
    check(gw_cpu(0) && !gw_cpu(99) && !gw_cpu(-1), "instruction sets are listed");
    return check_failures();
}
