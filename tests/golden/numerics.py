"""docs/NUMERICS.md as a program: every definition once more, sharing no code with Lockstep.

Section numbers are those of the page. A "float" is a Python float whose value binary32 can hold;
where the page says double, Python's own operations are used, which are binary64, rounded one by
one. Images are nested lists [n][h][w][c], matrices [row][column]. Standard library only; slow on
purpose. `layers.py` beside this file has sections 5 and 6.
"""

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import TypeVar

T = TypeVar("T")

# --- 1. Ground rules: binary32, each operation rounded once, ties to even ---


def round_exactly(value: Fraction) -> float:
    """The binary32 number nearest to an exact value, denormals and overflow included."""
    if value == 0:
        return 0.0
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    rounded = round(value / unit) * unit  # round() of a Fraction: ties to even
    if abs(rounded) >= 2**128:
        return math.copysign(math.inf, value)
    return math.copysign(float(rounded), value)


def f32(value: float) -> float:
    """A double, rounded to binary32."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def literal(text: str) -> float:
    """A decimal constant, rounded once to binary32."""
    return round_exactly(Fraction(text))


def float_bits(value: float) -> int:
    """The 32 bits of a binary32 number."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


def from_float_bits(bits: int) -> float:
    """The binary32 number with these bits."""
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def double_bits(value: float) -> int:
    """The 64 bits of a binary64 number."""
    return struct.unpack("<Q", struct.pack("<d", value))[0]


# Sum, difference, product, quotient and root of binary32 numbers may be rounded to binary64 first:
# with 53 >= 2 * 24 + 2 bits the second rounding finds what a single one would (Figueroa 1995).


def add(a: float, b: float) -> float:
    """a + b."""
    return f32(a + b)


def sub(a: float, b: float) -> float:
    """a - b."""
    return f32(a - b)


def mul(a: float, b: float) -> float:
    """a * b; exact in binary64."""
    return f32(a * b)


def div(a: float, b: float) -> float:
    """a / b with IEEE's infinities."""
    if b == 0.0:
        undefined = a == 0.0 or math.isnan(a)
        return math.nan if undefined else math.copysign(math.inf, a) * math.copysign(1.0, b)
    return f32(a / b)


def sqrt(a: float) -> float:
    """The square root."""
    return f32(math.sqrt(a))


def fma(a: float, b: float, c: float) -> float:
    """a * b + c, rounded once. Binary64 has the product exactly, but not always the sum."""
    product = a * b
    total = product + c
    if not math.isfinite(total) or total == 0.0:
        return f32(total)
    return round_exactly(Fraction(product) + Fraction(c))


# --- 2. The four reductions ---


def bit_ceil(n: int) -> int:
    """The least power of two that is not below n; 1 for 0."""
    return 1 << max(n - 1, 0).bit_length()


def chain(pairs: Iterable[tuple[float, float]], start: float = 0.0) -> float:
    """The chain of fma over products."""
    total = start
    for a, b in pairs:
        total = fma(a, b, total)
    return total


def chain_sum(values: Iterable[float], start: float = 0.0) -> float:
    """The chain of additions."""
    total = start
    for value in values:
        total = add(total, value)
    return total


def tree(
    leaves: Sequence[T], least: int = 1, merge: Callable[[T, T], T] = add, empty: T = 0.0
) -> T:
    """Adjacent pairs, level by level; padded to a power of two (at least `least`) with `empty`."""
    level = list(leaves)
    level += [empty] * (bit_ceil(max(len(level), least)) - len(level))
    while len(level) > 1:
        level = [merge(level[k], level[k + 1]) for k in range(0, len(level), 2)]
    return level[0]


def lane_chains(values: Sequence[float]) -> float:
    """Sixteen chains over the index mod 16, then the tree over them."""
    return tree([chain_sum(values[lane::16]) for lane in range(16)])


def shard_trees(
    shards: Sequence[Sequence[T]],
    positions: int,
    merge: Callable[[T, T], T] = add,
    empty: T = 0.0,
) -> T:
    """The sample tree of every shard over `positions` places, then the shard tree."""
    return tree([tree(shard, positions, merge, empty) for shard in shards], 1, merge, empty)


def block_tree(tensors: Sequence[Sequence[float]]) -> float:
    """Lane chains inside blocks of 4,096 elements, the tree over blocks, a chain over tensors."""
    total = 0.0
    for tensor in tensors:
        blocks = [lane_chains(tensor[k : k + 4096]) for k in range(0, len(tensor), 4096)]
        total = add(total, tree(blocks))
    return total


# --- 3. Shards ---


def bit_floor(n: int) -> int:
    """The greatest power of two that is not above n; 0 for 0."""
    return 1 << (n.bit_length() - 1) if n > 0 else 0


def auto_shards(batch: int) -> int:
    """`shards: auto`."""
    return max(1, bit_floor(batch // 4)) if batch < 32 else max(8, bit_floor(batch // 32))


def shard_positions(batch: int, shards: int) -> int:
    """c = ceil(B / S)."""
    return -(-batch // shards)


def shard_counts(batch: int, shards: int, samples: int) -> list[int]:
    """How many of a batch's samples each shard holds."""
    c = shard_positions(batch, shards)
    return [max(0, min(samples, (s + 1) * c) - s * c) for s in range(shards)]


def in_shards(values: Sequence[T], counts: Sequence[int]) -> list[list[T]]:
    """The values of a batch, cut into its shards."""
    rest = iter(values)
    return [[next(rest) for _ in range(count)] for count in counts]


def parts(total: int, workers: int) -> list[tuple[int, int]]:
    """[floor(r T / W), floor((r + 1) T / W)) of every worker: shards, and ownership blocks."""
    return [(r * total // workers, (r + 1) * total // workers) for r in range(workers)]


def maximal_subtrees(begin: int, end: int) -> list[tuple[int, int]]:
    """The maximal aligned subtrees of shards [begin, end) as (first, count)."""
    subtrees = []
    while begin < end:
        size = 1
        while begin % (2 * size) == 0 and begin + 2 * size <= end:
            size *= 2
        subtrees.append((begin, size))
        begin += size
    return subtrees


# --- 4. Random numbers ---

INITIALIZER, SHUFFLE, DROPOUT, NOISE, FIXED_NOISE = 1, 2, 3, 4, 6
MASK32, MASK64 = 2**32 - 1, 2**64 - 1


def splitmix64(x: int) -> int:
    """The finaliser of Steele et al. 2014 of x + 0x9E3779B97F4A7C15."""
    x = (x + 0x9E3779B97F4A7C15) & MASK64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK64
    return x ^ (x >> 31)


def random_key(seed: int, purpose: int) -> int:
    """The Philox key of a purpose; its low half is the first key word."""
    return splitmix64(seed ^ splitmix64(purpose))


def philox(counter: Sequence[int], key: int) -> tuple[int, int, int, int]:
    """Philox4x32-10 (Salmon et al. 2011, figure and table 2)."""
    x0, x1, x2, x3 = counter
    k0, k1 = key & MASK32, key >> 32
    for _ in range(10):
        a, b = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = (b >> 32) ^ x1 ^ k0, b & MASK32, (a >> 32) ^ x3 ^ k1, a & MASK32
        k0, k1 = (k0 + 0x9E3779B9) & MASK32, (k1 + 0xBB67AE85) & MASK32
    return x0, x1, x2, x3


def initializer_words(seed: int, variable: int, count: int) -> list[int]:
    """The words of the first `count` elements of a variable."""
    key = random_key(seed, INITIALIZER)
    words: list[int] = []
    for group in range(-(-count // 4)):
        words += philox((group & MASK32, group >> 32, variable, 0), key)
    return words[:count]


def _call_word(key: int, step: int, call: int, position: int, element: int) -> int:
    high = (call << 16) | ((step >> 32) & 0xFFFF)
    return philox((element // 4, position, step & MASK32, high), key)[element % 4]


def dropout_word(seed: int, step: int, call: int, position: int, element: int) -> int:
    """The word of an element inside its sample."""
    return _call_word(random_key(seed, DROPOUT), step, call, position, element)


def noise_word(seed: int, step: int, call: int, position: int, element: int) -> int:
    """The same for noise."""
    return _call_word(random_key(seed, NOISE), step, call, position, element)


def fixed_noise_word(seed: int, source: int, position: int, element: int) -> int:
    """Of noise that does not change from step to step."""
    counter = (element // 4, position, source, 0)
    return philox(counter, random_key(seed, FIXED_NOISE))[element % 4]


def uniform(word: int) -> float:
    """[0, 1), exact."""
    return (word >> 8) * 2.0**-24


def uniform_in(word: int, low: float, high: float) -> float:
    """[low, high); the bounds are rounded to float first."""
    a, b = f32(low), f32(high)
    return fma(uniform(word), sub(b, a), a)


# AS241 (Wichura 1988), PPND16: numerators and denominators, lowest power first.
CENTER = (
    (3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
     5.2264952788528545610e3),
)  # fmt: skip
MIDDLE = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550,
     3.64784832476320460504, 1.27045825245236838258, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
     1.05075007164441684324e-9),
)  # fmt: skip
TAIL = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580,
     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
     2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
     2.04426310338993978564e-15),
)  # fmt: skip


def horner(coefficients: Sequence[float], x: float) -> float:
    """A polynomial in double, lowest power first, highest evaluated first."""
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def inverse_normal(p: float) -> float:
    """The inverse of the normal distribution function, in double."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * horner(CENTER[0], r) / horner(CENTER[1], r)
    r = math.sqrt(-log_double(p if q < 0 else 1.0 - p))
    (top, bottom), r = (MIDDLE, r - 1.6) if r <= 5.0 else (TAIL, r - 5.0)
    x = horner(top, r) / horner(bottom, r)
    return -x if q < 0 else x


def normal(word: int) -> float:
    """Mean 0, deviation 1, in double."""
    return inverse_normal((word + 0.5) * 2.0**-32)


def truncated_normal(word: int) -> float:
    """The same, cut at two deviations."""
    low, high = 0.022750131948179195, 0.9772498680518208
    return inverse_normal(low + (word + 0.5) * 2.0**-32 * (high - low))


def permutation(seed: int, epoch: int, count: int) -> list[int]:
    """The order of [0, count) in an epoch (from 0): a Feistel network with cycle walking."""
    if count <= 1:
        return list(range(count))
    half = (max(2, (count - 1).bit_length()) + 1) // 2
    mask, key = 2**half - 1, random_key(seed, SHUFFLE)

    def feistel(x: int) -> int:
        left, right = x >> half, x & mask
        for i in range(4):
            word = philox((right, i, epoch & MASK32, epoch >> 32), key)[0]
            left, right = right, left ^ (word & mask)
        return (left << half) | right

    order = []
    for x in range(count):
        value = feistel(x)
        while value >= count:
            value = feistel(value)
        order.append(value)
    return order


# Initialisers: `words` are those of the variable, one per element.


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Inputs and outputs that one element of a kernel sees."""
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


# The named members of the family.
SCALED = {
    f"{author}_{kind}": {"scale": scale, "mode": mode, "distribution": distribution}
    for author, scale, mode in (
        ("glorot", 1.0, "fan_avg"),
        ("he", 2.0, "fan_in"),
        ("lecun", 1.0, "fan_in"),
    )
    for kind, distribution in (("uniform", "uniform"), ("normal", "truncated_normal"))
}


def variance_scaling(
    words: Sequence[int], shape: Sequence[int], scale: float, mode: str, distribution: str
) -> list[float]:
    """Variance scale / fan, in double."""
    fan_in, fan_out = fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    variance = scale / max(1.0, fan)
    if distribution == "uniform":
        limit = math.sqrt(3.0 * variance)
        return [uniform_in(word, -limit, limit) for word in words]
    if distribution == "untruncated_normal":
        return [f32(normal(word) * math.sqrt(variance) + 0.0) for word in words]
    deviation = math.sqrt(variance) / 0.87962566103423978
    return [f32(truncated_normal(word) * deviation + 0.0) for word in words]


def orthogonal(words: Sequence[int], shape: Sequence[int], gain: float) -> list[float]:
    """Modified Gram-Schmidt, each vector against the ones before it, twice, in double."""
    columns = shape[-1]
    rows = math.prod(shape) // columns
    length, count = max(rows, columns), min(rows, columns)
    basis: list[list[float]] = []
    for j in range(count):
        v = [normal(words[i * count + j]) for i in range(length)]
        for q in basis + basis:
            dot = 0.0
            for a, b in zip(q, v):
                dot += a * b
            v = [b - dot * a for a, b in zip(q, v)]
        square = 0.0
        for x in v:
            square += x * x
        norm = math.sqrt(square)
        basis.append([x / norm for x in v])
    if rows >= columns:
        return [f32(gain * basis[c][r]) for r in range(rows) for c in range(columns)]
    return [f32(gain * basis[r][c]) for r in range(rows) for c in range(columns)]


def initialize(
    name: str, shape: Sequence[int], seed: int, variable: int, **options: float | str
) -> list[float]:
    """A variable's initial values, row-major; options are Keras', with their defaults."""
    count = math.prod(shape)
    words = initializer_words(seed, variable, count)
    mean, deviation = options.get("mean", 0.0), options.get("stddev", 0.05)
    match name:
        case "zeros" | "ones" | "constant":
            return [f32(options.get("value", float(name == "ones")))] * count
        case "identity":
            gain = f32(options.get("gain", 1.0))
            return [gain if e // shape[1] == e % shape[1] else 0.0 for e in range(count)]
        case "random_uniform":
            low, high = options.get("minval", -0.05), options.get("maxval", 0.05)
            return [uniform_in(word, low, high) for word in words]
        case "random_normal":
            return [f32(normal(word) * deviation + mean) for word in words]
        case "truncated_normal":
            return [f32(truncated_normal(word) * deviation + mean) for word in words]
        case "orthogonal":
            return orthogonal(words, shape, options.get("gain", 1.0))
        case "unit_forget_bias":
            others = initialize(options.get("initializer", "zeros"), shape, seed, variable)
            return [1.0 if 4 * e // shape[-1] % 4 == 1 else v for e, v in enumerate(others)]
    defaults = {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"}
    return variance_scaling(words, shape, **(defaults | SCALED.get(name, options)))


# --- 7. Elementary functions ---

LOG2_E = float.fromhex("0x1.715476p0")
LN2_HIGH, LN2_LOW = literal("0.693359375"), literal("-2.12194440e-4")
EXP = [
    literal(c)
    for c in ("1.9875691500e-4", "1.3981999507e-3", "8.3334519073e-3", "4.1665795894e-2",
              "1.6666665459e-1", "5.0000001201e-1")
]  # fmt: skip
LOG = [
    literal(c)
    for c in ("7.0376836292e-2", "-1.1514610310e-1", "1.1676998740e-1", "-1.2420140846e-1",
              "1.4249322787e-1", "-1.6668057665e-1", "2.0000714765e-1", "-2.4999993993e-1",
              "3.3333331174e-1")
]  # fmt: skip
TANH = [
    literal(c)
    for c in ("-5.70498872745e-3", "2.06390887954e-2", "-5.37397155531e-2", "1.33314422036e-1",
              "-3.33332819422e-1")
]  # fmt: skip


def polynomial(coefficients: Sequence[float], x: float) -> float:
    """A polynomial by fma, highest power first."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = fma(total, x, coefficient)
    return total


def exp(x: float) -> float:
    """exp(x) = (1 + (r + r^2 P5(r))) 2^n."""
    if math.isnan(x):
        return x
    x = -104.0 if x < -104.0 else 89.0 if x > 89.0 else x
    magic = 1.5 * 2.0**23
    n = sub(fma(x, LOG2_E, magic), magic)
    r = fma(-n, LN2_LOW, fma(-n, LN2_HIGH, x))
    p = add(fma(polynomial(EXP, r), mul(r, r), r), 1.0)
    half = int(n) >> 1
    return mul(mul(p, 2.0**half), 2.0 ** (int(n) - half))


def log(x: float) -> float:
    """x = 2^e (1 + f); f - f^2 / 2 + f^3 P8(f) + e ln 2."""
    if math.isnan(x) or x == math.inf:
        return x
    if x <= 0.0:
        return math.nan if x < 0.0 else -math.inf
    tiny = x < 2.0**-126
    bits = float_bits(mul(x, 2.0**25) if tiny else x) - 0x3F3504F3
    f = sub(from_float_bits((bits & 0x7FFFFF) + 0x3F3504F3), 1.0)
    e = sub(float(bits >> 23), 25.0 if tiny else 0.0)
    square = mul(f, f)
    y = mul(mul(polynomial(LOG, f), f), square)
    y = fma(square, -0.5, fma(e, LN2_LOW, y))
    return fma(e, LN2_HIGH, add(f, y))


def log1p(x: float) -> float:
    """log(u) + (x - (u - 1)) / u with u = 1 + x."""
    u = add(1.0, x)
    if u == 1.0:
        return x
    if u <= 0.0 or u == math.inf:
        return log(u)
    return add(log(u), div(sub(x, sub(u, 1.0)), u))


def sigmoid(x: float) -> float:
    """(x < 0 ? e : 1) / (1 + e) with e = exp(-|x|)."""
    e = exp(-abs(x))
    return div(e if x < 0.0 else 1.0, add(1.0, e))


def tanh(x: float) -> float:
    """a + a^3 P4(a^2) below 0.625, else 1 - 2 / (exp(2a) + 1), with the sign of x."""
    a = abs(x)
    if a < 0.625:
        z = mul(a, a)
        return math.copysign(fma(mul(polynomial(TANH, z), z), a, a), x)
    return math.copysign(sub(1.0, div(2.0, add(exp(add(a, a)), 1.0))), x)


def log_double(x: float) -> float:
    """The double logarithm of a positive, finite, normal double (fdlibm's e_log)."""
    root_half = 0x3FE6A09E667F3BCD
    offset = double_bits(x) - root_half
    k = float(offset >> 52)
    mantissa = (offset & (2**52 - 1)) + root_half
    f = struct.unpack("<d", struct.pack("<Q", mantissa))[0] - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01
                + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))  # fmt: skip
    odd = z * (6.666666666666735130e-01
               + w * (2.857142874366239149e-01
                      + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)))  # fmt: skip
    half = 0.5 * f * f
    low = k * 1.90821492927058770002e-10
    return k * 6.93147180369123816490e-01 - ((half - (s * (half + (odd + even)) + low)) - f)


def power(base: float, exponent: int) -> float:
    """base^exponent in double by binary exponentiation, lowest bit first."""
    result, square = 1.0, base
    while exponent > 0:
        if exponent & 1:
            result *= square
        exponent >>= 1
        square *= square
    return result
