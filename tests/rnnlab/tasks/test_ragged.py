import torch

from rnnlab.tasks.ragged import Ragged

FLAT = torch.arange(10, 16)  # three sequences: 10 11, 12 13 14, 15
RAGGED = Ragged.joined(FLAT, torch.tensor([2, 3, 1]))


def batch(ragged: Ragged, chosen: list[int], steps: int, **options):
    values, lengths = ragged.batch(torch.tensor(chosen), steps, **options)
    return values.T.tolist(), lengths.tolist()


def test_sequences_stand_side_by_side_padded_behind_their_ends_and_cut_there():
    assert batch(RAGGED, [1, 2, 0, 1], 4) == (
        [[12, 13, 14, 0], [15, 0, 0, 0], [10, 11, 0, 0], [12, 13, 14, 0]],
        [3, 1, 2, 3],
    )
    assert batch(RAGGED, [1, 2, 0], 2) == ([[12, 13], [15, 0], [10, 11]], [2, 1, 2])
    assert batch(RAGGED, [2], 3, padding=-1) == ([[15, -1, -1]], [1])


def test_endings_lose_the_beginning_and_a_choice_keeps_its_order():
    assert batch(RAGGED.endings(2), [0, 1, 2], 3) == ([[10, 11, 0], [13, 14, 0], [15, 0, 0]], [2, 2, 1])
    assert batch(RAGGED.only(torch.tensor([2, 1])), [0, 1], 3) == ([[15, 0, 0], [12, 13, 14]], [1, 3])
    assert batch(RAGGED.only(RAGGED.lengths < 3), [1, 0], 2) == ([[15, 0], [10, 11]], [1, 2])


def test_vectors_are_padded_whole():
    frames = torch.stack([FLAT, -FLAT], 1).double()
    values, _ = Ragged.joined(frames, torch.tensor([2, 3, 1])).batch(torch.tensor([2, 0]), 2)
    assert values.tolist() == [[[15, -15], [10, -10]], [[0, 0], [11, -11]]]
