"""Augmentation on the device, from one generator: flip, shift, random erasing. Pictures [B, C, H, W]."""

import torch


def random_flip(x, generator):
    """Mirror half of the pictures left to right."""
    flip = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < 0.5
    return torch.where(flip, x.flip(-1), x)


def random_shift(x, most, generator):
    """Move each picture by up to ``most`` pixels in both directions; zeros come in."""
    b, c, h, w = x.shape
    padded = torch.nn.functional.pad(x, (most,) * 4)
    draw = lambda: torch.randint(0, 2 * most + 1, (b, 1), generator=generator, device=x.device)
    rows = draw() + torch.arange(h, device=x.device)
    columns = draw() + torch.arange(w, device=x.device)
    picked = padded.gather(2, rows[:, None, :, None].expand(b, c, h, w + 2 * most))
    return picked.gather(3, columns[:, None, None].expand(b, c, h, w))


def random_erase(x, share, generator):
    """In a ``share`` of the pictures set a square of up to half the side to zero."""
    b, _, h, w = x.shape
    rand = lambda: torch.rand(b, 1, generator=generator, device=x.device)
    side, hit = 0.5 * rand(), rand() < share
    top, left = rand() * (1 - side), rand() * (1 - side)
    y = torch.arange(h, device=x.device)[None] / h
    z = torch.arange(w, device=x.device)[None] / w
    rows = (y >= top) & (y < top + side) & hit
    columns = (z >= left) & (z < left + side)
    return x.masked_fill((rows[:, :, None] & columns[:, None])[:, None], 0.0)


def augment(x, options, generator):
    """Apply what the config asks for: {flip = true, shift = 4, erase = 0.1}."""
    unknown = set(options) - {"flip", "shift", "erase"}
    if unknown:
        raise ValueError(f"augment knows flip, shift and erase, not {', '.join(sorted(unknown))}.")
    x = random_flip(x, generator) if options.get("flip") else x
    x = random_shift(x, options["shift"], generator) if options.get("shift") else x
    return random_erase(x, options["erase"], generator) if options.get("erase") else x
