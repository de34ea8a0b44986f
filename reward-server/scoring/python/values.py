# How a value travels out of a program's box: exact builtin types, checked with what Python had before
# the program ran; of anything else, handle(value) says what to send.
def _encoder(handle):
    import collections
    kind, integer, text, lowest, highest = type, int, str, -1 << 63, 1 << 63
    dicts = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)
    lists = ((list, "l"), (tuple, "t"), (set, "s"), (frozenset, "z"))

    def encode(v, depth=0):
        t = kind(v)  # compared by identity alone: a metaclass may say that it equals int
        if v is None or t is bool or t is text:
            return v
        if t is float:
            return v if v - v == 0 else ["f", repr(v)]
        if t is integer:
            return v if lowest <= v < highest else ["i", hex(v)]
        if depth < 200:
            for known, tag in lists:
                if t is known:
                    return [tag, [encode(x, depth + 1) for x in v]]
            for known in dicts:
                if t is known:
                    return ["d", [[encode(k, depth + 1), encode(x, depth + 1)] for k, x in dict.items(v)]]
        if t is bytes:
            return ["b", v.hex()]
        if t is complex:
            return ["c", encode(v.real), encode(v.imag)]
        return handle(v)

    return encode


