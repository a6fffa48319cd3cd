"""Every node's equation for one region, in plain numbers. It shares no code with what it judges.

Each function takes the states and the inputs in the order of their names and the parameters as a dict,
and returns the rates of change. Where a source has the equation in another form, such as in complex
numbers, that form is here. `benchmarks/_hand_written.py` has the equations once more, on arrays, as the
yardstick of speed: what must be right here must be quick there, and neither is read by the library.
"""

from math import cos, erfc, exp, log, pi, sin, sqrt, tanh

import numpy as np


def logistic(x):
    return 1 / (1 + exp(-x))


def linear(s, c, p):
    return [p["a"] * s[0] + c[0]]


def threshold_linear(s, c, p):
    return [(max(p["b"] + c[0], 0) - s[0]) / p["tau"]]


def horn(s, c, p):
    return [s[1], p["alpha"] * tanh(c[0]) - 2 * p["gamma"] * s[1] - p["omega"] ** 2 * s[0]]


def kuramoto(s, c, p):
    return [p["omega"] + c[0]]


def xy(s, c, p):
    return [c[0] - p["field"] * sin(s[0])]


def hopf(s, c, p):
    z, drive = complex(*s), complex(*c)
    rate = (p["a"] + 1j * p["omega"] - abs(z) ** 2) * z + drive
    return [rate.real, rate.imag]


def stuart_landau(s, c, p):
    z, drive = complex(*s), complex(*c)
    rate = (p["a"] + 1j * p["omega"]) * z + drive
    rate -= (p["b"] + 1j * p["shear"]) * abs(z) ** 2 * z
    return [rate.real, rate.imag]


def fitzhugh_nagumo(s, c, p):
    v, w = s
    return [
        (v - v**3 / 3 - w + p["current"]) / p["tau"] + c[0],
        p["epsilon"] * (v + p["a"] - p["b"] * w) / p["tau"] + c[1],
    ]


def van_der_pol(s, c, p):
    x, y = s
    return [y / p["tau"], (p["mu"] * y * (1 - x**2) - x) / p["tau"] + c[0]]


def generic_2d_oscillator(s, c, p):
    V, W = s
    fast = p["e"] * V**2 - p["f"] * V**3 + p["g"] * V + p["alpha"] * W
    slow = p["c"] * V**2 + p["b"] * V - p["beta"] * W + p["a"]
    return [
        p["d"] * p["tau"] * (fast + p["gamma"] * p["current"] + p["gamma"] * c[0]),
        p["d"] / p["tau"] * slow,
    ]


def wilson_cowan(s, c, p):
    def response(x, a, b):
        return logistic(a * (x - b)) - p["shift"] / (1 + exp(a * b))

    e, i = s
    e_drive = p["c_ee"] * e - p["c_ei"] * i + p["P"] + c[0]
    i_drive = p["c_ie"] * e - p["c_ii"] * i + p["Q"] + c[1]
    e_free, i_free = p["k_e"] - p["r_e"] * e, p["k_i"] - p["r_i"] * i
    return [
        (-e + e_free * response(e_drive, p["a_e"], p["b_e"])) / p["tau_e"],
        (-i + i_free * response(i_drive, p["a_i"], p["b_i"])) / p["tau_i"],
    ]


def jansen_rit(s, c, p):
    def fired(v):
        return 2 * p["e0"] / (1 + exp(p["r"] * (p["v0"] - v)))

    C1, C2, C3, C4 = (p["C"] * p[f"c{i}"] for i in (1, 2, 3, 4))
    A, B, a, b = p["A"], p["B"], p["a"], p["b"]
    y0, y1, y2, y3, y4, y5 = s
    return [
        y3,
        y4,
        y5,
        A * a * fired(y1 - y2) - 2 * a * y3 - a**2 * y0,
        A * a * (p["p"] + c[0] + C2 * fired(C1 * y0)) - 2 * a * y4 - a**2 * y1,
        B * b * C4 * fired(C3 * y0) - 2 * b * y5 - b**2 * y2,
    ]


def wendling(s, c, p):
    def fired(v):
        return 2 * p["e0"] / (1 + exp(p["r"] * (p["v0"] - v)))

    C1, C2, C3, C4, C5, C6, C7 = (p["C"] * p[f"c{i}"] for i in range(1, 8))
    A, B, G, a, b, g = (p[name] for name in "ABGabg")
    y0, y1, y2, y3, y4, y5, y6, y7, y8, y9 = s
    return [
        y5,
        y6,
        y7,
        y8,
        y9,
        A * a * fired(y1 - y2 - y3) - 2 * a * y5 - a**2 * y0,
        A * a * (p["p"] + c[0] + C2 * fired(C1 * y0)) - 2 * a * y6 - a**2 * y1,
        B * b * C4 * fired(C3 * y0) - 2 * b * y7 - b**2 * y2,
        G * g * C7 * fired(C5 * y0 - C6 * y4) - 2 * g * y8 - g**2 * y3,
        B * b * fired(C3 * y0) - 2 * b * y9 - b**2 * y4,
    ]


def wong_wang_rate(I, a, b, d):  # noqa: E741
    u = a * I - b
    return 1 / d if u == 0 else u / (1 - exp(-d * u))


def reduced_wong_wang(s, c, p):
    current = p["w"] * p["J_N"] * s[0] + p["I_0"] + p["J_N"] * c[0]
    fired = wong_wang_rate(current, p["a"], p["b"], p["d"])
    return [-s[0] / p["tau"] + (1 - s[0]) * p["gamma"] * fired]


def wong_wang_exc_inh(s, c, p):
    e, i = s
    I_e = p["w_p"] * p["J_N"] * e - p["J_i"] * i + p["W_e"] * p["I_0"] + p["J_N"] * c[0]
    I_i = p["J_N"] * e - i + p["W_i"] * p["I_0"] + p["J_N"] * c[1]
    H_e = wong_wang_rate(I_e + p["I_ext"], p["a_e"], p["b_e"], p["d_e"])
    H_i = wong_wang_rate(I_i, p["a_i"], p["b_i"], p["d_i"])
    return [
        -e / p["tau_e"] + (1 - e) * p["gamma_e"] * H_e,
        -i / p["tau_i"] + p["gamma_i"] * H_i,
    ]


def montbrio_pazo_roxin(s, c, p):
    r, V = s
    tau = p["tau"]
    return [
        p["Delta"] / (pi * tau**2) + 2 * V * r / tau,
        (V**2 - (pi * tau * r) ** 2 + p["eta"] + p["J"] * tau * r + p["current"] + c[0]) / tau,
    ]


def coombes_byrne(s, c, p):
    """Compute the rates from the source's complex order parameter z, which r and V express otherwise."""
    r, V, g, q = s
    W = complex(pi * r, V)
    z = ((1 - W) / (1 + W)).conjugate()
    # The population (its excitabilities shifted by the current) and then its synapse.
    own = -0.5j * (z - 1) ** 2 + (z + 1) ** 2 / 2 * complex(-p["Delta"], p["eta"] + c[0])
    synapse = 0.5j * (z + 1) ** 2 * p["v_syn"] * g - (z**2 - 1) / 2 * g
    rate = -2 * (own + synapse).conjugate() / (1 + z.conjugate()) ** 2
    return [
        rate.real / pi,
        rate.imag,
        p["alpha"] * q,
        p["alpha"] * (p["kappa"] * pi * r + c[1] - g - 2 * q),
    ]


def epileptor(s, c, p):
    x1, y1, z, x2, y2, g = s
    seizure = (x2 - p["slope"] - 0.6 * (z - 4) ** 2) * x1
    f1 = p["a"] * x1**3 - p["b"] * x1**2 if x1 < 0 else seizure
    f2 = p["aa"] * (x2 + 0.25) if x2 >= -0.25 else 0
    low = 0.1 * z**7 if z < 0 else 0
    rates = [
        y1 - f1 - z + p["I_1"] + c[0],
        p["c"] - p["d"] * x1**2 - y1,
        p["r"] * (p["s"] * (x1 - p["x0"]) - z - low - c[1]),
        -y2 + x2 - x2**3 + p["I_2"] + p["bb"] * g - 0.3 * (z - 3.5) + c[2],
        (-y2 + f2) / p["tau"],
        -0.01 * (g - 0.1 * x1),
    ]
    return [p["tt"] * rate for rate in rates]


def epileptor_2d(s, c, p):
    x1, z = s
    seizure = -(p["slope"] + 0.6 * (z - 4) ** 2) * x1
    f1 = p["a"] * x1**3 - p["b"] * x1**2 if x1 < 0 else seizure
    return [
        p["tt"] * (p["c"] - p["d"] * x1**2 - f1 - z + p["I_1"] + c[0]),
        p["tt"] * p["r"] * (p["s"] * (x1 - p["x0"]) - z - c[1]),
    ]


def larter_breakspear(s, c, p):
    V, W, Z = s
    m = {ion: (1 + tanh((V - p[f"T_{ion}"]) / p[f"d_{ion}"])) / 2 for ion in ("Ca", "K", "Na")}
    Q_V = p["Q_V_max"] * (1 + tanh((V - p["V_T"]) / p["d_V"])) / 2
    Q_Z = p["Q_Z_max"] * (1 + tanh((Z - p["Z_T"]) / p["d_Z"])) / 2
    inner, outer = (1 - p["C"]) * p["a_ee"] * Q_V, p["C"] * p["a_ee"] * c[0]
    dV = -(p["g_Ca"] + p["r_NMDA"] * (inner + outer)) * m["Ca"] * (V - p["V_Ca"])
    dV -= p["g_K"] * W * (V - p["V_K"])
    dV -= p["g_L"] * (V - p["V_L"])
    dV -= (p["g_Na"] * m["Na"] + inner + outer) * (V - p["V_Na"])
    dV -= p["a_ie"] * Z * Q_Z
    dV += p["a_ne"] * p["current"]
    dW = p["phi"] * (m["K"] - W) / p["tau_K"]
    dZ = p["b"] * (p["a_ni"] * p["current"] + p["a_ei"] * V * Q_V)
    return [p["t_scale"] * rate for rate in (dV, dW, dZ)]


def lorenz(s, c, p):
    x, y, z = s
    rates = p["sigma"] * (y - x), x * (p["rho"] - z) - y, x * y - p["beta"] * z
    return [rate / p["tau"] + drive for rate, drive in zip(rates, c, strict=True)]


def thalamus(s, c, p):
    V, W, Ca, h, g, m1, m2, *synapses = s
    s_et, s_gt, s_er, s_gr, *slopes = synapses
    into_t, into_r, current_t, current_r = c
    warm = 3.7371928

    def fired(v):
        return p["Q_max"] / (1 + exp(-1.8137993642342178 * (v - p["theta"]) / p["sigma"]))

    def leaks(v, s_e, s_g):
        excited = p["g_AMPA"] * s_e * (v - p["E_AMPA"])
        return p["g_L"] * (v - p["E_L"]) + excited + p["g_GABA"] * s_g * (v - p["E_GABA"])

    I_T_t = p["g_T_t"] * h * (V - p["E_Ca"]) / (1 + exp(-(V + 59) / 6.2)) ** 2
    I_T_r = p["g_T_r"] * g * (W - p["E_Ca"]) / (1 + exp(-(W + 52) / 7.4)) ** 2
    I_h = p["g_h"] * (m1 + p["g_inc"] * m2) * (V - p["E_h"])
    dV = (current_t + p["current_t"] - leaks(V, s_et, s_gt)) / p["tau"]
    dV -= (p["g_LK"] * (V - p["E_K"]) + I_T_t + I_h) / p["C_m"]
    dW = (current_r + p["current_r"] - leaks(W, s_er, s_gr)) / p["tau"]
    dW -= (p["g_LK"] * (W - p["E_K"]) + I_T_r) / p["C_m"]
    tau_h = (30.8 + (211.4 + exp((V + 115.2) / 5)) / (1 + exp((V + 86) / 3.2))) / warm
    tau_g = (85 + 1 / (exp((W + 48) / 4) + exp(-(W + 407) / 50))) / warm
    tau_m = 20 + 1000 / (exp((V + 71.5) / 14.2) + exp(-(V + 89) / 11.6))
    P = p["k1"] * Ca**4 / (p["k1"] * Ca**4 + p["k2"])
    bind, leave = p["k3"] * P * m1, p["k4"] * m2
    rates = [dV, dW, p["alpha_Ca"] * I_T_t - (Ca - p["Ca_0"]) / p["tau_Ca"]]
    rates += [(1 / (1 + exp((V + 81) / 4)) - h) / tau_h, (1 / (1 + exp((W + 80) / 5)) - g) / tau_g]
    rates += [((1 - m2) / (1 + exp((V + 75) / 5.5)) - m1) / tau_m - bind + leave, bind - leave]
    rates += slopes
    arrived = [
        into_t,
        p["N_tr"] * fired(W),
        p["N_rt"] * fired(V) + into_r,
        p["N_rr"] * fired(W),
    ]
    gammas = [p["gamma_e"], p["gamma_r"]] * 2
    for x, dx, q, gamma in zip(synapses[:4], slopes, arrived, gammas, strict=True):
        rates.append(gamma**2 * (q - x) - 2 * gamma * dx)
    return rates


def izhikevich(s, c, p):
    """Compute the rates from the source's dimensionless equations, in its time t / tau."""
    r, V, w, q = p["tau"] * s[0], *s[1:]
    a, slow = p["tau"] / p["tau_w"], p["tau_s"] / p["tau"]
    rates = [
        p["Delta"] / pi + 2 * r * V - r * (p["g"] * q + p["alpha"]),
        V**2 - p["alpha"] * V - w + p["eta"] + p["current"] + c[1]
        + p["g"] * q * (p["e_r"] - V) - pi**2 * r**2,
        a * (p["b"] * V - w) + p["w_jump"] * r,
        -q / slow + p["s_jump"] * (r + p["tau"] * c[0]),
    ]  # fmt: skip
    return [rates[0] / p["tau"] ** 2, *(x / p["tau"] for x in rates[1:])]


def tsodyks_markram(s, c, p):
    r, V, x, u = s
    f, tau = p["facilitation"], p["tau"]
    return [
        p["Delta"] / (pi * tau**2) + 2 * V * r / tau,
        (V**2 - (pi * tau * r) ** 2 + p["eta"] + p["current"] + c[0]) / tau + p["J"] * u * x * r,
        (1 - x) / p["tau_d"] - u * x * r,
        (p["U"] - u) / p["tau_f"] + f * p["U"] * (1 - u) * r,
    ]


def naskar(s, c, p):
    e, i, J = s
    I_e = p["w_p"] * p["J_N"] * e - J * i + p["W_e"] * p["I_0"] + p["J_N"] * c[0]
    I_i = p["J_N"] * e - i + p["W_i"] * p["I_0"] + p["J_N"] * c[1]
    H_e = wong_wang_rate(I_e + p["I_ext"], p["a_e"], p["b_e"], p["d_e"])
    H_i = wong_wang_rate(I_i, p["a_i"], p["b_i"], p["d_i"])
    return [
        -p["beta_e"] * e + p["alpha_e"] * p["T_glu"] * (1 - e) * H_e,
        -p["beta_i"] * i + p["alpha_i"] * p["T_gaba"] * (1 - i) * H_i,
        p["gamma"] * H_i * (H_e - p["rho"]),
    ]


def wilson_cowan_divisive(s, c, p):
    rates = []
    active, outer = dict(zip("ei", s, strict=True)), dict(zip("ei", c, strict=True))
    constant = {"e": p["P"], "i": p["Q"]}
    for x, me in active.items():
        drive = p[f"c_{x}e"] * active["e"] + constant[x] + outer[x]
        drive /= p[f"sigma_{x}"] + p[f"c_{x}i"] * active["i"]
        a, b = p[f"a_{x}"], p[f"b_{x}"]
        response = logistic(a * (drive - b)) - p["shift"] / (1 + exp(a * b))
        rates.append((-me + (p[f"k_{x}"] - p[f"r_{x}"] * me) * response) / p[f"tau_{x}"])
    return rates


def canonical_microcircuit(s, c, p):
    names = ("ss", "sp", "ii", "dp")
    v, i = dict(zip(names, s[:4], strict=True)), dict(zip(names, s[4:], strict=True))
    signs = {
        "ss": {"ss": -1, "sp": -1, "ii": -1},
        "sp": {"ss": 1, "sp": -1},
        "ii": {"ss": 1, "dp": 1, "ii": -1},
        "dp": {"dp": -1, "ii": -1},
    }
    bends = []
    for name, outer in zip(names, c, strict=True):
        u = outer + (p["drive"] if name == "ss" else 0)
        for source, sign in signs[name].items():
            fired = logistic(p["r"] * v[source]) - logistic(0)
            u += sign * p[f"g_{name}_{source}"] * fired
        tau = p[f"tau_{name}"]
        bends.append((u - 2 * i[name] - v[name] / tau) / tau)
    return [*s[4:], *bends]


# --- further models of The Virtual Brain ---------------------------------------------------------


def adapting(s, c, p, depression, adaptation):
    r, V, A, B = s
    tau, current = p["tau"], p["eta"] + p["current"] + c[0] - adaptation
    return [
        (p["Delta"] / (pi * tau) + 2 * r * V) / tau,
        (V**2 + current + p["J"] * tau * r * (1 - depression) - (pi * tau * r) ** 2) / tau,
        B / p["tau_A"],
        (p["alpha"] * r - 2 * B - A) / p["tau_A"],
    ]


def gast_schmidt_knosche_sd(s, c, p):
    return adapting(s, c, p, s[2], 0)


def gast_schmidt_knosche_sf(s, c, p):
    return adapting(s, c, p, 0, s[2])


def dumont_gutkin(s, c, p):
    rates, V = {"e": s[0], "i": s[4]}, {"e": s[1], "i": s[5]}
    synapse = {"ee": s[2], "ei": s[3], "ie": s[6], "ii": s[7]}
    drive = {"ee": c[1], "ie": p["Gamma"] * c[3]}
    out = []
    for x, extra in (("e", c[0]), ("i", c[2])):
        r, tau = rates[x], p[f"tau_{x}"]
        current = p[f"eta_{x}"] + p[f"I_{x}"] + extra + tau * (synapse[x + "e"] - synapse[x + "i"])
        out.append((p[f"Delta_{x}"] / (pi * tau) + 2 * r * V[x]) / tau)
        out.append((V[x] ** 2 - (pi * tau * r) ** 2 + current) / tau)
        for y in "ei":
            fired = p[f"J_{x}{y}"] * rates[y] + drive.get(x + y, 0)
            out.append((fired - synapse[x + y]) / p["tau_s"])
    return out


def coombes_byrne_2d(s, c, p):
    g = p["kappa"] * pi * s[0] + c[1]
    return coombes_byrne([*s, g, 0], [c[0], 0], {**p, "alpha": 1})[:2]


class Series:
    """A polynomial of second order in two small numbers: {(power of one, of the other): factor}."""

    def __init__(self, terms):
        self.terms = terms

    def __getitem__(self, powers):
        return self.terms.get(powers, 0)

    def __add__(self, other):
        other = series(other)
        return Series({k: self[k] + other[k] for k in {*self.terms, *other.terms}})

    def __mul__(self, other):
        out = {}
        for (a, b), x in self.terms.items():
            for (c, d), y in series(other).terms.items():
                if a + b + c + d <= 2:
                    out[a + c, b + d] = out.get((a + c, b + d), 0) + x * y
        return Series(out)

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -series(other)

    def __rsub__(self, other):
        return series(other) - self

    def __truediv__(self, other):
        return self * smooth(lambda x: (1 / x, -1 / x**2, 2 / x**3), series(other))

    def __rtruediv__(self, other):
        return series(other) / self

    def __pow__(self, two):
        assert two == 2
        return self * self

    __radd__, __rmul__ = __add__, __mul__


def series(x):
    return x if isinstance(x, Series) else Series({(0, 0): x})


def smooth(terms, x):
    """Return f(x) of a number or a series; `terms` returns f, its first and its second derivative."""
    if not isinstance(x, Series):
        return terms(x)[0]
    value, first, second = terms(x[0, 0])
    off = x - x[0, 0]
    return value + first * off + second / 2 * off * off


def erfc_terms(x):
    slope = -2 / sqrt(pi) * exp(-(x**2))
    return erfc(x), slope, -2 * x * slope


def sqrt_terms(x):
    return sqrt(x), 0.5 / sqrt(x), -0.25 / x**1.5


def adex_neuron(p, kind, spikes_e, spikes_i, W):
    """Return the rate [kHz] and the mean potential [mV] of a neuron by Zerlaut's transfer function."""
    synapses = {
        x: (n, p[f"Q_{x}"], p[f"tau_{x}"], p[f"E_{x}"])
        for x, n in (("e", spikes_e), ("i", spikes_i))
    }
    total = sum(n * Q * tau for n, Q, tau, _ in synapses.values()) + p["g_L"]
    reversed_ = sum(n * Q * tau * E for n, Q, tau, E in synapses.values())
    mu = (reversed_ + p["g_L"] * p[f"E_L_{kind}"] - W) / total
    variance = above = below = 0
    for n, Q, tau, E in synapses.values():
        area, both = (Q / total * (E - mu) * tau) ** 2, p["C_m"] / total + tau
        variance += n * area / (2 * both)
        above += n * area
        below += n * area / both
    sigma, tau = smooth(sqrt_terms, variance), above / below
    x = [1, (mu + 60) / 10, (sigma - 4) / 6, tau * p["g_L"] / p["C_m"] - 0.5]
    names = ["", "mu", "sigma", "tau"]
    threshold = p[f"P_{kind}_0"]
    for i in range(4):
        for j in range(max(i, 1), 4):
            term = "_".join(name for name in (names[i], names[j]) if name)
            threshold += p[f"P_{kind}_{term}"] * x[i] * x[j]
    return smooth(erfc_terms, (threshold - mu) / (sqrt(2) * sigma)) / (2 * tau), mu


def adex_populations(s, c, p, outside=lambda sent, constant: max(sent, 0) + constant):
    E, I, W_e, W_i, ou = s  # noqa: E741
    out = {}
    for x, drive, W in (("e", c[0], W_e), ("i", c[1], W_i)):
        drive = outside(drive + p["weight_ou"] * ou, p[f"nu_{x}e"])
        spikes_e = p["K_e"] * (E + 1e-6) + p["K_ext_e"] * drive
        spikes_i = p["K_i"] * (I + 1e-6) + p["K_ext_i"] * p[f"nu_{x}i"]
        out[x] = adex_neuron(p, x, spikes_e, spikes_i, W)
    return out


def zerlaut_first_order(s, c, p):
    fired = adex_populations(s, c, p)
    rates = [(fired[x][0] - nu) / p["T"] for x, nu in zip("ei", s, strict=False)]
    return rates + adaptation(s, p, fired)


def adaptation(s, p, fired):
    rates = []
    for x, nu, W in zip("ei", s, s[2:], strict=False):
        towards = p[f"a_{x}"] * (fired[x][1] - p[f"E_L_{x}"]) - W
        rates.append(towards / p[f"tau_w_{x}"] + p[f"b_{x}"] * nu)
    return [*rates, -s[4] / p["tau_ou"]]


def all_positive(sent, constant):
    return max(sent + constant, 0)


def zerlaut_second_order(s, c, p):
    """The rates become series in what E and I are off by, whose factors are the derivatives."""
    E, I, ee, ei, ii, *rest = s  # noqa: E741
    around = [Series({(0, 0): E, (1, 0): 1}), Series({(0, 0): I, (0, 1): 1}), *rest]
    fired = adex_populations(around, c, p, all_positive)
    scale, nu, C = p["derivative_scale"], [E, I], [[ee, ei], [ei, ii]]
    steps = [(1, 0), (0, 1)]
    F = [fired[x][0] for x in "ei"]
    off = [F[x][0, 0] - nu[x] for x in range(2)]
    rates = []
    for x in range(2):
        bent = 0
        for y in range(2):
            for z in range(2):
                powers = (steps[y][0] + steps[z][0], steps[y][1] + steps[z][1])
                # A factor of d^2 is half a second derivative.
                bent += C[y][z] * F[x][powers] * scale**2 * (2 if y == z else 1) / 2
        rates.append((off[x] + bent) / p["T"])
    for x, y in ((0, 0), (0, 1), (1, 1)):
        change = off[x] * off[y] - 2 * C[x][y]
        if x == y:
            chance = F[x][0, 0]
            change += chance * (1 / p["T"] - chance) / p[f"N_{'ei'[x]}"]
        for z in range(2):
            change += scale * (C[y][z] * F[x][steps[z]] + C[x][z] * F[y][steps[z]])
        rates.append(change / p["T"])
    return rates + adaptation([E, I, *rest], p, {x: (0, fired[x][1][0, 0]) for x in "ei"})


def upper_rest(mu1, mu2):
    """Return the largest root of x^3 - mu2 x - mu1, or the real part of those that it joined."""
    roots = np.roots([1, 0, -mu2, -mu1])
    real = sorted(root.real for root in roots if abs(root.imag) < 1e-9)
    return max(real) if len(real) == 3 or mu1 > 0 else max(roots.real)


def on_arc(start, towards, radius, angle):
    start, towards = np.array(start), np.array(towards)
    first = start / np.linalg.norm(start)
    across = np.cross(np.cross(start, towards), start)
    return radius * (first * cos(angle) + across / np.linalg.norm(across) * sin(angle))


def bursting(s, c, p, start, stop):
    x, y, z = s
    mu1, mu2, nu = on_arc(start, stop, p["R"], z)
    rest = p["branch"] * upper_rest(p["branch"] * mu1, mu2)
    low = p["restore"] * (z - 0.5) ** 7
    return [
        -y + c[0],
        x**3 - mu2 * x - mu1 - y * (nu + p["b"] * x + x**2),
        -p["c"] * (sqrt((x - rest) ** 2 + y**2) - p["dstar"] + low + c[1]),
    ]


def sphere_point(p, where):
    return [p[f"{name}_{where}"] for name in ("mu1", "mu2", "nu")]


def epileptor_codim3(s, c, p):
    return bursting(s, c, p, sphere_point(p, "start"), sphere_point(p, "stop"))


def epileptor_codim3_slow_mod(s, c, p):
    start = on_arc(sphere_point(p, "Ain"), sphere_point(p, "Aend"), p["R"], s[3])
    stop = on_arc(sphere_point(p, "Bin"), sphere_point(p, "Bend"), p["R"], s[4])
    return [*bursting(s[:3], c, p, start, stop), p["cA"], p["cB"]]


def epileptor_resting_state(s, c, p):
    rs = {"tau": p["tau_rs"], "current": p["current_rs"], "c": 0, "g": 0}
    rs |= {name: p[f"{name}_rs"] for name in ("a", "b", "d", "e", "f", "alpha", "beta", "gamma")}
    return epileptor(s[:6], c[:3], p) + generic_2d_oscillator(s[6:], c[3:], rs)


def hopfield(s, c, p):
    return [(c[0] - s[0]) / p["tau_x"], (c[1] - s[1]) / p["tau_theta"]]


def ion_currents(s, p):
    """Return the currents of potassium, sodium, chloride and the pump, and the potassium outside."""
    _, V, n, change, buffered = s
    beta = p["volume_i"] / p["volume_o"]
    K_o = p["K_o0"] - beta * change + buffered
    nernst = lambda o, i: 26.64 * log(o / i)
    E_K = nernst(K_o, p["K_i0"] + change)
    E_Na = nernst(p["Na_o0"] + beta * change, p["Na_i0"] - change)
    E_Cl = -nernst(p["Cl_o0"], p["Cl_i0"])
    opened = logistic((V + 24) / 12) * (1.1 - logistic(8 * (n - 0.4)))
    return (
        (p["g_K_leak"] + p["g_K"] * n) * (V - E_K),
        (p["g_Na_leak"] + p["g_Na"] * opened) * (V - E_Na),
        p["g_Cl"] * (V - E_Cl),
        p["rho"] * logistic((p["Na_i0"] - change - 21) / 2) * logistic(K_o - 5.5),
        K_o,
    )


def k_ion_ex(s, c, p):
    x, V, n, _, _ = s
    K, Na, Cl, pump, K_o = ion_currents(s, p)
    side = "minus" if p["V_star"] >= V else "plus"
    R, vertex = p[f"R_{side}"], p[f"c_{side}"]
    synapses = p["R_minus"] * c[0] / pi * (p["E"] - V)
    return [
        p["Delta"] + 2 * R * (V - vertex) * x - p["J"] * p["R_minus"] * x / pi * x,
        -(K + Na + Cl + pump) / p["C_m"] - R * x**2 + p["eta"] + synapses,
        (logistic((V + 19) / 18) - n) / p["tau_n"],
        -p["gamma"] / p["volume_i"] * (K - 2 * pump),
        p["epsilon"] * (p["K_bath"] - K_o),
    ]


def zetterberg_fires(v, p):
    return 2 * p["e0"] / (1 + exp(p["rho_1"] * (p["rho_2"] - v)))


def zetterberg_jansen(s, c, p):
    v, y = s[::2], s[1::2]
    S = lambda potential: zetterberg_fires(potential, p)
    pulses = [
        p["gamma_1"] * S(v[1] - v[2]) + p["gamma_1T"] * (p["U"] + S(c[0])),
        p["gamma_2"] * S(v[0]) + p["gamma_2T"] * (p["P"] + S(c[0])),
        p["gamma_4"] * S(v[3] - v[4]),
        p["gamma_3"] * S(v[1] - v[2]) + p["gamma_3T"] * (p["Q"] + S(c[0])),
        p["gamma_5"] * S(v[3] - v[4]),
    ]
    rates = []
    for kind, pulse, potential, slope in zip("eeiei", pulses, v, y, strict=True):
        H, k = p[f"H{kind}"], p[f"k{kind}"]
        rates += [slope, H * k * pulse - 2 * k * slope - k**2 * potential]
    rates[9] += (p["ki"] ** 2 - p["ki_5"] ** 2) * v[4]
    return rates


def neuron_modes(p):
    """Return the width, the mean excitability and the share of the three modes, as arrays."""
    edges = p["sigma"] * np.array([-p["outer"], -p["inner"], p["inner"], p["outer"]])
    shares = np.array([p["share_outer"], p["share_inner"], p["share_outer"]])
    return np.diff(edges), p["mu"] + (edges[1:] + edges[:-1]) / 2, shares


def mode_coupling(p, xi, alpha):
    """Return what the excitatory and the inhibitory modes receive of one another."""
    w, _, share = neuron_modes(p)
    A = np.array([[share[k] * sqrt(w[i] / w[k]) for k in range(3)] for i in range(3)])
    excitatory = p["K11"] * (A @ xi - xi) - p["K12"] * (A.T @ alpha - xi)
    return excitatory, p["K21"] * (A @ xi - alpha)


def reduced_set_fitzhugh_nagumo(s, c, p):
    xi, eta, alpha, beta = np.reshape(s, (4, 3))
    w, z, _ = neuron_modes(p)
    rates = []
    for x, y, received in zip((xi, alpha), (eta, beta), mode_coupling(p, xi, alpha), strict=True):
        fast = x - x**3 / (3 * w) - y + np.sqrt(w) * z + c[0]
        rates += [p["tau"] * fast + received, (x - p["b"] * y + p["a"] * np.sqrt(w)) / p["tau"]]
    return np.concatenate(rates).tolist()


def reduced_set_hindmarsh_rose(s, c, p):
    xi, eta, tau, alpha, beta, gamma = np.reshape(s, (6, 3))
    w, z, _ = neuron_modes(p)
    root, rates = np.sqrt(w), []
    received = mode_coupling(p, xi, alpha)
    for x, y, slow, more in zip((xi, alpha), (eta, beta), (tau, gamma), received, strict=True):
        own = y - p["a"] * x**3 / w + p["b"] * x**2 / root - slow
        rates.append(own + root * z + c[0] + more)
        rates.append(p["c"] * root - p["d"] * x**2 / root - y)
        rates.append(p["r"] * p["s"] * (x - p["xo"] * root) - p["r"] * slow)
    return np.concatenate(rates).tolist()


# Auxiliary quantities of one region, by node: functions of its states, inputs and parameters.


def ramp(x, a, b, d):
    """Return the Wong-Wang response, kHz of nA."""
    x = a * x - b
    return x / (1 - exp(-d * x))


def synapses_fire(v, p):
    return 2 * p["e0"] / (1 + exp(p["r"] * (p["v0"] - v)))


def excitatory_current(s, c, p):
    own = p["w_p"] * p["J_N"] * s[0] - p["J_i"] * s[1]
    return own + p["W_e"] * p["I_0"] + p["I_ext"] + p["J_N"] * c[0]


def inhibitory_current(s, c, p):
    return p["J_N"] * s[0] - s[1] + p["W_i"] * p["I_0"] + p["J_N"] * c[1]


def reduced_current(s, c, p):
    return p["w"] * p["J_N"] * s[0] + p["I_0"] + p["J_N"] * c[0]


def wilson_cowan_response(x, a, b, p):
    return logistic(a * (x - b)) - p["shift"] / (1 + exp(a * b))


def order_parameter(w):
    """Return |Z|, Z = (1 - conj(W)) / (1 + conj(W))."""
    return abs((1 - w.conjugate()) / (1 + w.conjugate()))


_COLUMNS = {
    "rate_e": lambda s, c, p: synapses_fire(p["c1"] * p["C"] * s[0], p),
    "rate_i": lambda s, c, p: synapses_fire(p["c3"] * p["C"] * s[0], p),
}
AUXILIARY = {
    "reduced_wong_wang": {
        "current": reduced_current,
        "rate": lambda s, c, p: ramp(reduced_current(s, c, p), p["a"], p["b"], p["d"]),
    },
    "wong_wang_exc_inh": {
        "current_e": excitatory_current,
        "current_i": inhibitory_current,
        "rate_e": lambda s, c, p: ramp(excitatory_current(s, c, p), p["a_e"], p["b_e"], p["d_e"]),
        "rate_i": lambda s, c, p: ramp(inhibitory_current(s, c, p), p["a_i"], p["b_i"], p["d_i"]),
    },
    "wilson_cowan": {
        "response_e": lambda s, c, p: wilson_cowan_response(
            p["c_ee"] * s[0] - p["c_ei"] * s[1] + p["P"] + c[0], p["a_e"], p["b_e"], p
        ),
        "response_i": lambda s, c, p: wilson_cowan_response(
            p["c_ie"] * s[0] - p["c_ii"] * s[1] + p["Q"] + c[1], p["a_i"], p["b_i"], p
        ),
    },
    "jansen_rit": {
        "psp": lambda s, c, p: s[1] - s[2],
        "rate": lambda s, c, p: synapses_fire(s[1] - s[2], p),
        **_COLUMNS,
    },
    "wendling": {
        "psp": lambda s, c, p: s[1] - s[2] - s[3],
        "rate": lambda s, c, p: synapses_fire(s[1] - s[2] - s[3], p),
        **_COLUMNS,
        "rate_f": lambda s, c, p: synapses_fire(p["C"] * (p["c5"] * s[0] - p["c6"] * s[4]), p),
    },
    "montbrio_pazo_roxin": {
        "synchrony": lambda s, c, p: order_parameter(complex(pi * p["tau"] * s[0], s[1]))
    },
    "coombes_byrne": {"synchrony": lambda s, c, p: order_parameter(complex(pi * s[0], s[1]))},
    "thalamus": {
        f"rate_{x}": lambda s, c, p, i=i: (
            p["Q_max"] / (1 + exp(-1.8137993642342178 * (s[i] - p["theta"]) / p["sigma"]))
        )
        for i, x in enumerate("tr")
    },
    "naskar": {
        "current_e": lambda s, c, p: excitatory_current(s, c, p | {"J_i": s[2]}),
        "current_i": inhibitory_current,
        "rate_e": lambda s, c, p: ramp(
            excitatory_current(s, c, p | {"J_i": s[2]}), p["a_e"], p["b_e"], p["d_e"]
        ),
        "rate_i": lambda s, c, p: ramp(inhibitory_current(s, c, p), p["a_i"], p["b_i"], p["d_i"]),
    },
    "wilson_cowan_divisive": {
        "drive_e": lambda s, c, p: (
            (p["c_ee"] * s[0] + p["P"] + c[0]) / (p["sigma_e"] + p["c_ei"] * s[1])
        ),
        "drive_i": lambda s, c, p: (
            (p["c_ie"] * s[0] + p["Q"] + c[1]) / (p["sigma_i"] + p["c_ii"] * s[1])
        ),
    },
    "epileptor": {"lfp": lambda s, c, p: s[3] - s[0]},
    "coombes_byrne_2d": {"synchrony": lambda s, c, p: order_parameter(complex(pi * s[0], s[1]))},
    "gast_schmidt_knosche_sd": {
        "synchrony": lambda s, c, p: order_parameter(complex(pi * p["tau"] * s[0], s[1]))
    },
    "gast_schmidt_knosche_sf": {
        "synchrony": lambda s, c, p: order_parameter(complex(pi * p["tau"] * s[0], s[1]))
    },
    "dumont_gutkin": {
        "synchrony_e": lambda s, c, p: order_parameter(complex(pi * p["tau_e"] * s[0], s[1])),
        "synchrony_i": lambda s, c, p: order_parameter(complex(pi * p["tau_i"] * s[4], s[5])),
    },
    "zerlaut_first_order": {
        "potential_e": lambda s, c, p: adex_populations(s, c, p)["e"][1],
        "potential_i": lambda s, c, p: adex_populations(s, c, p)["i"][1],
    },
    "zerlaut_second_order": {
        "potential_e": lambda s, c, p: adex_populations([*s[:2], *s[5:]], c, p, all_positive)["e"][
            1
        ],
        "potential_i": lambda s, c, p: adex_populations([*s[:2], *s[5:]], c, p, all_positive)["i"][
            1
        ],
    },
    "epileptor_resting_state": {"lfp": lambda s, c, p: s[3] - s[0]},
    "k_ion_ex": {
        "rate": lambda s, c, p: p["R_minus"] * s[0] / pi,
        "K_o": lambda s, c, p: ion_currents(s, p)[4],
    },
    "zetterberg_jansen": {
        "psp": lambda s, c, p: s[2] - s[4],
        "rate": lambda s, c, p: zetterberg_fires(s[2] - s[4], p),
        "rate_e": lambda s, c, p: zetterberg_fires(s[0], p),
        "rate_i": lambda s, c, p: zetterberg_fires(s[6] - s[8], p),
    },
    "larter_breakspear": {
        "rate_V": lambda s, c, p: p["Q_V_max"] * (1 + tanh((s[0] - p["V_T"]) / p["d_V"])) / 2,
        "rate_Z": lambda s, c, p: p["Q_Z_max"] * (1 + tanh((s[2] - p["Z_T"]) / p["d_Z"])) / 2,
    },
}
