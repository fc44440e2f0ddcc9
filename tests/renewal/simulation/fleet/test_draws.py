from renewal.simulation.fleet.draws import Draws


def test_two_concerns_of_one_seed_and_two_seeds_of_one_concern_share_no_number():
    streams = [Draws(seed, concern) for seed in (1, 2, 11) for concern in ("sleep", "1 sleep", "SMS lost")]
    numbers = [stream.uniform(place) for stream in streams for place in range(200)]
    assert len(set(numbers)) == len(numbers)


def test_a_number_depends_on_its_place_and_not_on_what_was_asked_before():
    fresh, used = Draws(7, "sleep"), Draws(7, "sleep")
    for place in range(100):
        used.uniform(place, place)
    assert fresh.uniform(41, 3) == used.uniform(41, 3)


def test_numbers_are_spread_evenly():
    draws = Draws(7, "sleep")
    numbers = [draws.uniform(place) for place in range(20_000)]
    assert min(numbers) >= 0
    assert max(numbers) < 1
    assert abs(sum(numbers) / len(numbers) - 0.5) < 0.01
    waits = [draws.exponential(7.0, place, 1) for place in range(20_000)]
    assert abs(sum(waits) / len(waits) - 7.0) < 0.2
