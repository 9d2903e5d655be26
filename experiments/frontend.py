"""From sound to spikes: band-pass bank, rectify, smooth, level crossing. "Spoken-digit spikes of this book", nobody else's.

y_b  = x * g_b            a Gaussian band in frequency, centres equally spaced on the mel scale
r_b  = max(y_b, 0)        half-wave rectified, averaged over a hop (1 ms)
e_b  = leak of r_b        a leaky integrator of 5 ms
q_b  = floor(dB(e_b) / step)
up   = [q_b[t] > q_b[t-1]],  down = [q_b[t] < q_b[t-1]]    at most one spike a step and direction
"""

import math

import torch

from fptlib import decay_from_tau, linear_scan

RATE = 8000  # samples per second
FLOOR_DB = -60.0  # below this the bank is deaf, so that silence makes no spikes


def mel_bank(bands, samples, low=100.0, high=3800.0):
    """Centres [bands] in Hz and gains [bands, samples // 2 + 1] of Gaussian bands; neighbours cross at exp(-1/2)."""
    mel = lambda hertz: 2595 * math.log10(1 + hertz / 700)
    edges = torch.linspace(mel(low), mel(high), bands + 2, dtype=torch.float64)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    width = (hertz[2:] - hertz[:-2]) / 4
    frequency = torch.fft.rfftfreq(samples, 1 / RATE, dtype=torch.float64)
    gain = torch.exp(-0.5 * ((frequency[None] - hertz[1:-1, None]) / width[:, None]) ** 2)
    return hertz[1:-1].float(), gain.float()


def envelopes(sound, bands=40, hop=8, tau=0.005):
    """Smoothed rectified bands [frames, B, bands] of sounds [B, samples]; a frame is ``hop`` samples."""
    samples = sound.shape[1]
    _, gain = mel_bank(bands, 2 * samples)  # twice the length: no sound wraps around
    spectrum = torch.fft.rfft(sound, 2 * samples)[:, None] * gain.to(sound.device)
    rectified = torch.fft.irfft(spectrum, 2 * samples)[..., :samples].clamp(min=0)
    frames = rectified[..., : samples // hop * hop].unflatten(-1, (-1, hop)).mean(-1).permute(2, 0, 1)
    decay = decay_from_tau(tau, hop / RATE)
    return linear_scan(torch.full((1,), decay, device=sound.device), (1 - decay) * frames)


def level_spikes(envelope, step_db=6.0):
    """Up and down crossings of levels ``step_db`` apart, [frames, B, bands] -> 0/1 of [frames, B, 2 bands]."""
    decibel = 20 * torch.log10(envelope.clamp(min=1e-9))
    level = torch.floor(decibel.clamp(min=FLOOR_DB) / step_db)
    change = level - torch.cat([torch.full_like(level[:1], math.floor(FLOOR_DB / step_db)), level[:-1]])
    return torch.cat([change > 0, change < 0], dim=-1)


@torch.no_grad()
def spikes_of_clips(sound, start, length, steps, bands=40, hop=8, step_db=6.0, batch=64, device="cpu"):
    """All clips as spikes: uint8 [n, steps, 2 bands] (zeros after the end) and their lengths in steps [n].

    Args:
        sound: all samples laid end to end, values -1 to 1; clip i is sound[start[i] : start[i] + length[i]].
        steps: frames kept of each clip.
    """
    spikes = torch.zeros(len(start), steps, 2 * bands, dtype=torch.uint8)
    frames = (length // hop).clamp(max=steps)
    for rows in torch.arange(len(start)).split(batch):
        longest = int(frames[rows].max()) * hop
        clips = torch.zeros(len(rows), longest)
        for place, i in enumerate(rows.tolist()):
            clip = sound[start[i] : start[i] + min(int(length[i]), longest)]
            clips[place, : len(clip)] = clip
        found = level_spikes(envelopes(clips.to(device), bands, hop), step_db).permute(1, 0, 2).cpu()
        alive = torch.arange(found.shape[1])[None] < frames[rows][:, None]
        spikes[rows, : found.shape[1]] = (found & alive[..., None]).to(torch.uint8)
    return spikes, frames
