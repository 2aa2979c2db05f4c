/* A training loop fused by hand: what the hardware gives to a small network.

   Rows are blocked: an array of features holds for each block of ROWS rows its features in turn, ROWS values each
   ([block][feature][row]), so that every product runs in the vector units over rows and reads memory in order. The
   errors of a layer overwrite its activations, and the weights of a layer are updated (Adam as Keras writes it) while
   they are in cache. ReLU, softmax and cross-entropy; loss and accuracy on training and test rows of each epoch. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#else
#define LANES 8
#endif
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#define BY_ROW _Pragma("GCC unroll 1") for (int r = 0; r < ROWS; r++)   /* unrolled, it would not be vectorised */

/* Else the compiler reads it again from memory at each use. */
#if defined(__x86_64__)
#define IN_REGISTER(value) ({ vec kept = (value); __asm__("" : "+x"(kept)); kept; })
#else
#define IN_REGISTER(value) (value)
#endif
#define ALIGNED __attribute__((aligned(64)))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));
typedef float quad __attribute__((vector_size(16)));

enum { ROWS = 2 * LANES, TILE = 6, ACROSS = 3, STRIP = 15 };

typedef struct {
    int n_in, n_out;
    float *kernel, *bias;   /* [n_in][n_out], [n_out]; the slots and the gradient lie as they do, one after another */
    float *first, *second, *gradient;
} Layer;

typedef struct {
    double loss, hits;
} Sums;

static void *aligned(size_t n_floats) {
    void *found = aligned_alloc(64, (n_floats * sizeof(float) + 63) / 64 * 64);
    if (found) memset(found, 0, n_floats * sizeof(float));
    return found;
}

static int least(int a, int b) { return a < b ? a : b; }

INLINE vec positive(vec values, vec by) { return (vec)((mask)values & (by > (vec){0})); }

/* Sums over k of panel[k][0..m) times the rows of in[k]. */
INLINE void tile(const int m, int n_terms, const float *panel, const vec *in, vec sums[TILE][2]) {
    UNROLL for (int j = 0; j < m; j++) sums[j][0] = sums[j][1] = (vec){0};
    for (int k = 0; k < n_terms; k++, panel += TILE, in += 2) {
        vec left = in[0], right = in[1];
        UNROLL for (int j = 0; j < m; j++) {
            sums[j][0] += panel[j] * left;
            sums[j][1] += panel[j] * right;
        }
    }
}

#define BY_TILE(m, CALL) \
    switch (m) { \
        case 1: CALL(1); break; \
        case 2: CALL(2); break; \
        case 3: CALL(3); break; \
        case 4: CALL(4); break; \
        case 5: CALL(5); break; \
        default: CALL(6); \
    }

INLINE void forward_tile(const int m, const Layer *layer, int out, int relu, const float *panel, const vec *in, vec *to) {
    vec sums[TILE][2];
    tile(m, layer->n_in, panel, in, sums);
    UNROLL for (int j = 0; j < m; j++) {
        vec left = sums[j][0] + layer->bias[out + j], right = sums[j][1] + layer->bias[out + j];
        to[2 * (out + j)] = relu ? positive(left, left) : left;
        to[2 * (out + j) + 1] = relu ? positive(right, right) : right;
    }
}

INLINE void backward_tile(const int m, const Layer *layer, int in, const float *panel, const vec *errors, vec *values) {
    vec sums[TILE][2];
    tile(m, layer->n_out, panel, errors, sums);
    UNROLL for (int j = 0; j < m; j++)
        for (int half = 0; half < 2; half++)
            values[2 * (in + j) + half] = positive(sums[j][half], values[2 * (in + j) + half]);
}

/* The kernel as panels of TILE outputs by all inputs, then block by block. */
static void forward(const Layer *layer, int relu, const vec *in, vec *to, int blocks, float *panels) {
    size_t length = (size_t)TILE * layer->n_in;
    float *panel = panels;
    for (int out = 0; out < layer->n_out; out += TILE, panel += length)
        for (int k = 0; k < layer->n_in; k++)
            for (int j = 0; j < least(TILE, layer->n_out - out); j++)
                panel[k * TILE + j] = layer->kernel[(size_t)k * layer->n_out + out + j];
    for (int block = 0; block < blocks; block++, in += 2 * layer->n_in, to += 2 * layer->n_out) {
        panel = panels;
        for (int out = 0; out < layer->n_out; out += TILE, panel += length) {
#define CALL(n) forward_tile(n, layer, out, relu, panel, in, to)
            BY_TILE(layer->n_out - out, CALL)
#undef CALL
        }
    }
}

/* The errors of the layer before, in place of its activations `values`; panels of TILE inputs by all outputs. */
static void backward(const Layer *layer, const vec *errors, vec *values, int blocks, float *panels) {
    size_t length = (size_t)TILE * layer->n_out;
    float *panel = panels;
    for (int in = 0; in < layer->n_in; in += TILE, panel += length)
        for (int k = 0; k < layer->n_out; k++)
            for (int j = 0; j < least(TILE, layer->n_in - in); j++)
                panel[k * TILE + j] = layer->kernel[(size_t)(in + j) * layer->n_out + k];
    for (int block = 0; block < blocks; block++, errors += 2 * layer->n_out, values += 2 * layer->n_in) {
        panel = panels;
        for (int in = 0; in < layer->n_in; in += TILE, panel += length) {
#define CALL(n) backward_tile(n, layer, in, panel, errors, values)
            BY_TILE(layer->n_in - in, CALL)
#undef CALL
        }
    }
}

INLINE quad folded(vec values) {
#if LANES == 16
    typedef float half __attribute__((vector_size(32)));
    half both = __builtin_shufflevector(values, values, 0, 1, 2, 3, 4, 5, 6, 7) +
                __builtin_shufflevector(values, values, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    vec both = values;
#endif
    return __builtin_shufflevector(both, both, 0, 1, 2, 3) + __builtin_shufflevector(both, both, 4, 5, 6, 7);
}

/* The sums of four vectors. */
INLINE quad totals(vec va, vec vb, vec vc, vec vd) {
    quad a = folded(va), b = folded(vb), c = folded(vc), d = folded(vd);
    quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    quad cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/* Gradients of `m` inputs by four outputs: products of errors and inputs summed over all rows. */
INLINE void gradient_tile(const int m, const Layer *layer, int in, int out, const vec *inputs, const vec *errors, int blocks) {
    vec sums[ACROSS][4];
    int width = least(4, layer->n_out - out), columns[4];
    for (int j = 0; j < 4; j++) columns[j] = 2 * (out + least(j, width - 1));
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < 4; j++) sums[i][j] = (vec){0};
    /* A half of each block at a time: both at once, the compiler would regroup the sums into more instructions. */
    for (int half = 0; half < 2; half++) {
        const vec *input = inputs + 2 * in + half, *error = errors + half;
        for (int block = 0; block < blocks; block++, input += 2 * layer->n_in, error += 2 * layer->n_out)
        {
            vec taken[ACROSS];
            UNROLL for (int i = 0; i < m; i++) taken[i] = IN_REGISTER(input[2 * i]);
            UNROLL for (int j = 0; j < 4; j++) {
                vec by = IN_REGISTER(error[columns[j]]);
                UNROLL for (int i = 0; i < m; i++) sums[i][j] += by * taken[i];
            }
        }
    }
    UNROLL for (int i = 0; i < m; i++) {
        quad found = totals(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
        float *to = layer->gradient + (size_t)(in + i) * layer->n_out + out;
        if (width == 4) memcpy(to, &found, sizeof found);
        else for (int j = 0; j < width; j++) to[j] = found[j];
    }
}

static void gradients(const Layer *layer, const vec *inputs, const vec *errors, int blocks) {
    for (int strip = 0; strip < layer->n_in; strip += STRIP)
        for (int out = 0; out < layer->n_out; out += 4)
            for (int in = strip; in < least(strip + STRIP, layer->n_in); in += ACROSS) {
                int m = least(ACROSS, layer->n_in - in);
                if (m == 3) gradient_tile(3, layer, in, out, inputs, errors, blocks);
                else if (m == 2) gradient_tile(2, layer, in, out, inputs, errors, blocks);
                else gradient_tile(1, layer, in, out, inputs, errors, blocks);
            }
    float *by_bias = layer->gradient + (size_t)layer->n_in * layer->n_out;
    for (int out = 0; out < layer->n_out; out++) {
        vec sum = {0};
        for (int block = 0; block < blocks; block++) {
            const vec *error = errors + 2 * ((size_t)block * layer->n_out + out);
            sum += error[0] + error[1];
        }
        quad found = folded(sum);
        by_bias[out] = found[0] + found[1] + found[2] + found[3];
    }
}

static void adam(const Layer *layer, float scaled) {
    size_t n = (size_t)(layer->n_in + 1) * layer->n_out;
    float *restrict weight = layer->kernel, *restrict first = layer->first, *restrict second = layer->second;
    const float *restrict gradient = layer->gradient;
    for (size_t i = 0; i < n; i++) {
        first[i] += (gradient[i] - first[i]) * 0.1f;
        second[i] += (gradient[i] * gradient[i] - second[i]) * 0.001f;
        weight[i] -= first[i] * scaled / (sqrtf(second[i]) + 1e-7f);
    }
}

/* Loss and hits of the first `n` rows of a block; its logits become the derivatives of the loss, times `share`. */
static Sums softmax(float *logits, int n_classes, const int32_t *labels, int n, float share) {
    ALIGNED float top[ROWS], sum[ROWS], losses[ROWS], scale[ROWS];
    ALIGNED int32_t best[ROWS], label[ROWS];
    Sums sums = {0, 0};
    logits = __builtin_assume_aligned(logits, 64);
    BY_ROW {
        label[r] = labels[r < n ? r : 0];
        top[r] = logits[r];
        best[r] = 0;
        sum[r] = 0;
    }
    for (int c = 1; c < n_classes; c++)
        BY_ROW {
            float value = logits[c * ROWS + r];
            best[r] = value > top[r] ? c : best[r];
            top[r] = value > top[r] ? value : top[r];
        }
    BY_ROW losses[r] = top[r] - logits[label[r] * ROWS + r];
    for (int c = 0; c < n_classes; c++)
        BY_ROW {
            float power = expf(logits[c * ROWS + r] - top[r]);
            logits[c * ROWS + r] = power;
            sum[r] += power;
        }
    float loss = 0, hits = 0;
    BY_ROW {
        float counts = r < n ? 1.0f : 0.0f;
        loss += (losses[r] + logf(sum[r])) * counts;
        hits += best[r] == label[r] ? counts : 0.0f;
        scale[r] = share * counts;
        sum[r] = scale[r] / sum[r];
    }
    for (int c = 0; c < n_classes; c++)
        BY_ROW
            logits[c * ROWS + r] = logits[c * ROWS + r] * sum[r] - (label[r] == c ? scale[r] : 0.0f);
    sums.loss = loss;
    sums.hits = hits;
    return sums;
}

/* Rows of [row][feature] in the given order (or as they lie) as blocks; padding repeats the first row. */
static void gather(const float *x, int n_features, const int32_t *order, int n, float *to) {
    for (int first = 0; first < n; first += ROWS, to += n_features * ROWS)
        for (int r = 0; r < ROWS; r++) {
            int row = first + r < n ? first + r : 0;
            const float *from = x + (size_t)(order ? order[row] : row) * n_features;
            if (order && first + r + ROWS < n) __builtin_prefetch(x + (size_t)order[first + r + ROWS] * n_features);
            for (int f = 0; f < n_features; f++) to[f * ROWS + r] = from[f];
        }
}

static Sums run_forward(const Layer *layers, int n_layers, vec **values, const int32_t *labels, int n, float share, float *panels) {
    int blocks = (n + ROWS - 1) / ROWS, n_classes = layers[n_layers - 1].n_out;
    Sums sums = {0, 0};
    for (int l = 0; l < n_layers; l++) forward(&layers[l], l < n_layers - 1, values[l], values[l + 1], blocks, panels);
    for (int block = 0; block < blocks; block++) {
        float *logits = (float *)values[n_layers] + (size_t)block * n_classes * ROWS;
        Sums part = softmax(logits, n_classes, labels + block * ROWS, least(ROWS, n - block * ROWS), share);
        sums.loss += part.loss;
        sums.hits += part.hits;
    }
    return sums;
}

static void shuffle(int32_t *order, int n, uint64_t *state) {
    for (int i = n - 1; i > 0; i--) {
        *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
        int other = (int)(((*state >> 32) * (uint64_t)(i + 1)) >> 32);
        int32_t kept = order[i];
        order[i] = order[other], order[other] = kept;
    }
}

/* Train `epochs` epochs. `weights`: kernel [in][out] and bias of each layer in turn. `orders`: the rows of each epoch,
   or NULL: shuffled here from `seed`. `history`: [epochs][loss, accuracy, test loss, test accuracy]. Not 0: no memory. */
int fused_train(int n_layers, const int32_t *widths, int n_train, int n_test, const float *train_x, const int32_t *train_y,
                const float *test_x, const int32_t *test_y, int batch, int epochs, float rate, float *weights,
                const int32_t *orders, uint64_t seed, float *history) {
#ifdef __SSE__
    /* Flush denormals to zero, as XLA does, and only here: the caller's arithmetic stays as it is. */
    unsigned caller = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(caller | 0x8040);
#endif
    int batch_blocks = (batch + ROWS - 1) / ROWS, step = 0, failed = 0;
    int n_inputs = widths[0], test_chunk = batch_blocks * ROWS;
    size_t test_blocks = (n_test + ROWS - 1) / ROWS;
    Layer *layers = calloc(n_layers, sizeof(Layer));
    vec **values = calloc(n_layers + 1, sizeof(vec *));
    int32_t *own = calloc(n_train, sizeof(int32_t)), *labels = calloc(test_chunk, sizeof(int32_t));
    float *turned = aligned(test_blocks * n_inputs * ROWS);
    for (int l = 0; l <= n_layers; l++) {
        values[l] = aligned((size_t)widths[l] * batch_blocks * ROWS);
        failed |= !values[l];
    }
    float *at = weights;
    size_t largest = 0;
    for (int l = 0; l < n_layers; l++) {
        Layer *layer = &layers[l];
        size_t n = (size_t)(widths[l] + 1) * widths[l + 1];
        *layer = (Layer){widths[l], widths[l + 1], at, at + n - widths[l + 1], aligned(n), aligned(n), aligned(n)};
        failed |= !layer->first || !layer->second || !layer->gradient;
        at += n;
        size_t padded = (size_t)(widths[l] + TILE) * (widths[l + 1] + TILE);
        largest = padded > largest ? padded : largest;
    }
    float *panels = aligned(largest);
    failed |= !turned || !panels || !own || !labels;
    if (!failed) gather(test_x, n_inputs, NULL, n_test, turned);
    for (int i = 0; i < n_train && own; i++) own[i] = i;
    seed = seed * 2862933555777941757u + 3037000493u;

    for (int epoch = 0; epoch < epochs && !failed; epoch++) {
        const int32_t *order = orders ? orders + (size_t)epoch * n_train : own;
        Sums trained = {0, 0}, tested = {0, 0};
        if (!orders) shuffle(own, n_train, &seed);
        for (int first = 0; first < n_train; first += batch) {
            int n = least(batch, n_train - first), blocks = (n + ROWS - 1) / ROWS;
            gather(train_x, n_inputs, order + first, n, (float *)values[0]);
            for (int r = 0; r < n; r++) labels[r] = train_y[order[first + r]];
            Sums part = run_forward(layers, n_layers, values, labels, n, 1.0f / n, panels);
            trained.loss += part.loss, trained.hits += part.hits;
            step++;
            float scaled = rate * sqrtf(1.0f - powf(0.999f, step)) / (1.0f - powf(0.9f, step));
            for (int l = n_layers - 1; l >= 0; l--) {
                gradients(&layers[l], values[l], values[l + 1], blocks);
                if (l > 0) backward(&layers[l], values[l + 1], values[l], blocks, panels);
                adam(&layers[l], scaled);
            }
        }
        vec *kept = values[0];
        for (int first = 0; first < n_test; first += test_chunk) {
            values[0] = (vec *)(turned + (size_t)first * n_inputs);
            Sums part = run_forward(layers, n_layers, values, test_y + first, least(test_chunk, n_test - first), 0, panels);
            tested.loss += part.loss, tested.hits += part.hits;
        }
        values[0] = kept;
        float *to = history + 4 * (size_t)epoch;
        to[0] = trained.loss / n_train, to[1] = trained.hits / n_train;
        to[2] = tested.loss / n_test, to[3] = tested.hits / n_test;
    }

    for (int l = 0; l < n_layers; l++) free(layers[l].first), free(layers[l].second), free(layers[l].gradient);
    for (int l = 0; l <= n_layers; l++) free(values[l]);
    free(layers), free(values), free(own), free(labels), free(turned), free(panels);
#ifdef __SSE__
    __builtin_ia32_ldmxcsr(caller);
#endif
    return failed;
}
