"""Folds that answer the question asked, or are refused."""

import numpy as np
import pandas as pd
import pytest
from evaluating import six_people
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold

from skeeg.evaluation import make_folds
from skeeg.evaluation.splits import calibration_folds


@pytest.fixture
def data():
    return six_people()


def test_within_subject_folds_stay_inside_a_subject_and_hold_every_class_and_session(data):
    _, y, metadata = data
    folds = make_folds("within-subject", y, metadata, n_splits=4)
    assert len(folds) == 6 * 4
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(96))
    for train, test in folds:
        assert not set(train) & set(test)
        assert metadata["subject"][np.r_[train, test]].nunique() == 1
        cells = pd.crosstab(metadata["session"][test], y[test])
        assert (cells.to_numpy() == 1).all()


def test_within_subject_folds_are_blocks_in_time(data):
    _, y, metadata = data
    one_session = metadata.drop(columns="session")
    (_, first), *_ = make_folds("within-subject", y, one_session, n_splits=4)
    assert first.tolist() == [0, 1, 2, 3]


def test_cross_subject_leaves_one_subject_out_up_to_n_splits_subjects(data):
    _, y, metadata = data
    folds = make_folds("cross-subject", y, metadata, n_splits=10)
    assert [metadata["subject"][test].unique().tolist() for _, test in folds] == [[s] for s in range(1, 7)]
    assert all(len(train) == 80 for train, _ in folds)


def test_cross_subject_groups_subjects_beyond_n_splits(data):
    _, y, metadata = data
    folds = make_folds("cross-subject", y, metadata, n_splits=3)
    assert len(folds) == 3
    for train, test in folds:
        assert metadata["subject"][test].nunique() == 2
        assert not set(metadata["subject"][train]) & set(metadata["subject"][test])


def test_random_state_decides_which_subjects_share_a_fold(data):
    _, y, metadata = data

    def tests(seed):
        return [
            test.tolist()
            for _, test in make_folds("cross-subject", y, metadata, n_splits=3, random_state=seed)
        ]

    assert tests(0) == tests(0)
    assert any(tests(0) != tests(seed) for seed in range(1, 5))


def test_cross_session_trains_on_the_other_sessions_of_the_same_subject(data):
    _, y, metadata = data
    folds = make_folds("cross-session", y, metadata)
    assert len(folds) == 6 * 2
    for train, test in folds:
        assert metadata["subject"][np.r_[train, test]].nunique() == 1
        assert not set(metadata["session"][train]) & set(metadata["session"][test])


def test_a_scikit_learn_splitter_gets_the_subjects_as_groups(data):
    _, y, metadata = data
    for train, test in make_folds(LeaveOneGroupOut(), y, metadata):
        assert not set(metadata["subject"][train]) & set(metadata["subject"][test])


@pytest.mark.filterwarnings("error")
def test_a_number_of_folds_and_splitters_without_groups_do(data):
    _, y, metadata = data
    for cv in (3, StratifiedKFold(3)):
        assert len(make_folds(cv, y, metadata)) == 3


@pytest.mark.parametrize(
    ("cv", "change", "message"),
    [
        ("cross-subject", lambda m: m.assign(subject=3), r"at least 2 subjects, the data hold 1 \(3\)"),
        ("cross-session", lambda m: m.assign(session="a"), "these have one: 1, 2, 3"),
        ("cross-session", lambda m: m.drop(columns="session"), "needs a column 'session'"),
        ("within-subject", lambda m: m.assign(subject=[0] + [1] * 95), "subject 0 has a class with 1"),
        ("leave-one-out", lambda m: m, "unknown; allowed: within-subject, cross-subject, cross-session"),
    ],
)
def test_data_that_cannot_answer_the_question_are_refused(data, cv, change, message):
    _, y, metadata = data
    with pytest.raises(ValueError, match=message):
        make_folds(cv, y, change(metadata))


@pytest.mark.parametrize("n_splits", [1, 0, -3, 2.5, True, "5", None])
def test_n_splits_is_a_number_of_folds(data, n_splits):
    _, y, metadata = data
    with pytest.raises(ValueError, match=r"n_splits=.* must be an integer of at least 2"):
        make_folds("cross-subject", y, metadata, n_splits=n_splits)


def test_as_few_subjects_sessions_and_trials_as_a_question_needs_are_enough():
    y = np.array(["a", "b"] * 4)
    metadata = pd.DataFrame({"subject": np.repeat([1, 2], 4), "session": [*"sstt"] * 2})
    assert len(make_folds("cross-subject", y, metadata, n_splits=2)) == 2
    assert len(make_folds("cross-session", y, metadata)) == 4
    folds = make_folds("within-subject", y, metadata, n_splits=5)  # 2 trials of a class: 2 folds
    assert [test.tolist() for _, test in folds] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert len(make_folds("within-subject", np.array([*"aaabbb"]), metadata.iloc[:6].assign(subject=1))) == 3


def test_cross_subject_makes_groups_only_beyond_n_splits(data):
    _, y, metadata = data
    for n_splits, expected in ((5, [16] * 4 + [32]), (6, [16] * 6)):
        folds = make_folds("cross-subject", y, metadata, n_splits=n_splits)
        assert sorted(len(test) for _, test in folds) == expected
    firsts = [test[0] for _, test in make_folds("cross-subject", y, metadata, n_splits=3)]
    assert firsts == sorted(firsts)


def test_folds_hold_a_share_of_each_session_where_there_are_enough_trials():
    # 3 trials of each class in each session: 3 folds take one of each, 4 cannot
    y = np.tile([*"ab"], 6)
    metadata = pd.DataFrame({"subject": 1, "session": np.repeat([1, 2], 6)})
    for _, test in make_folds("within-subject", y, metadata, n_splits=3):
        assert (pd.crosstab(metadata["session"][test], y[test]).to_numpy() == 1).all()
    (_, first), *_ = make_folds("within-subject", y, metadata, n_splits=4)
    assert metadata["session"][first].unique().tolist() == [1], "blocks in time"


def test_names_of_two_types_are_one_column_of_text(data):
    _, y, metadata = data
    names = np.array([1, "02", 3.0, "x", 12, "y"], dtype=object)
    sessions = np.array([1, "b"], dtype=object)
    mixed = metadata.assign(subject=np.repeat(names, 16), session=np.tile(np.repeat(sessions, 8), 6))
    for cv in ("within-subject", "cross-subject", "cross-session"):
        expected = make_folds(cv, y, metadata, n_splits=6)
        for (train, test), (other_train, other_test) in zip(
            make_folds(cv, y, mixed, n_splits=6), expected, strict=True
        ):
            np.testing.assert_array_equal(train, other_train)
            np.testing.assert_array_equal(test, other_test)


@pytest.mark.parametrize(
    ("names", "message"), [([1, "1"], "holds 1 and '1'"), (["01", 1.0], r"holds '01' and 1\.0")]
)
def test_names_that_may_be_the_same_person_are_refused(names, message):
    metadata = pd.DataFrame({"subject": np.repeat(np.array([*names, "z"], dtype=object), 4)})
    with pytest.raises(ValueError, match=f"{message}, which may be the same; write them alike"):
        make_folds("cross-subject", np.tile([0, 1], 6), metadata)


def test_categories_that_no_trial_has_are_no_subjects(data):
    _, y, metadata = data
    categories = pd.Categorical(metadata["subject"], categories=[0, *range(1, 7), 99])
    for cv in ("within-subject", "cross-subject", "cross-session"):
        expected = make_folds(cv, y, metadata)
        found = make_folds(cv, y, metadata.assign(subject=categories))
        assert [test.tolist() for _, test in found] == [test.tolist() for _, test in expected]


def test_missing_sessions_matter_where_sessions_are_asked_for(data):
    _, y, metadata = data
    holes = metadata.assign(session=metadata["session"].where(metadata.index != 5))
    with pytest.raises(ValueError, match=r"missing for 1 of 96 trials; give every trial its session"):
        make_folds("cross-session", y, holes)
    assert len(make_folds("within-subject", y, holes)) == 6 * 5
    assert len(make_folds("cross-subject", y, holes)) == 5


def test_a_column_that_is_there_twice_is_refused(data):
    _, y, metadata = data
    with pytest.raises(ValueError, match=r"has the columns \['subject'\] twice"):
        make_folds("cross-subject", y, pd.concat([metadata, metadata[["subject"]]], axis=1))


def test_a_subject_with_one_class_is_refused_where_it_trains(data):
    _, y, metadata = data
    y = np.where(metadata["subject"] == 4, "left", y)
    with pytest.raises(
        ValueError, match=r"at least 2 classes from every subject; subject 4 has only \['left'"
    ):
        make_folds("within-subject", y, metadata)
    with pytest.raises(ValueError, match=r"fold 7 trains on one class, \['left'\].*sessions out: 4"):
        make_folds("cross-session", y, metadata)
    assert len(make_folds("cross-subject", y, metadata)) == 5


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (([0, 1, 2], [2, 3]), "fold 1 trains on 1 of its test trials, the first is 2"),
        (([0, 2, 4], [1]), r"fold 1 trains on one class, \['left'\]"),
        (([0, 1], []), "fold 1 must have at least one row number"),
        (([], [0, 1]), "fold 1 must have at least one row number"),
        (([0, 1], [96]), "fold 1 names the trials 96 to 96, the data hold 0 to 95"),
        (([0, 1], [-1]), "fold 1 names the trials -1 to -1"),
        (([0.0, 1.0], [2.0]), "row number"),
    ],
)
def test_folds_that_teach_or_test_nothing_are_refused(data, fold, message):
    _, y, metadata = data
    with pytest.raises(ValueError, match=message):
        make_folds([fold], y, metadata)


def test_folds_may_be_masks(data):
    _, y, metadata = data
    test = (metadata["subject"] == 2).to_numpy()
    ((found_train, found_test),) = make_folds([(~test, test)], y, metadata)
    np.testing.assert_array_equal(found_test, np.flatnonzero(test))
    np.testing.assert_array_equal(found_train, np.flatnonzero(~test))
    assert make_folds([([0, 1], [95])], y, metadata)[0][1].tolist() == [95]


# ----- calibration --------------------------------------------------------------------------------------


def of_step(folds, step):
    return [fold for fold in folds if fold.step == step]


def test_calibration_tests_the_same_trials_with_any_number_of_own_trials(data):
    _, y, metadata = data
    folds = calibration_folds(y, metadata, own_trials=[0, 4, 8, "all"], n_splits=4)
    assert list(dict.fromkeys(fold.step for fold in folds)) == ["0", "4", "8", "all"]
    for step in ("0", "4", "8", "all"):
        tested = np.concatenate([fold.test for fold in of_step(folds, step)])
        assert sorted(tested) == list(range(96))
    batches = [batch.tolist() for fold in of_step(folds, "0") for batch in fold.batches]
    assert sorted(batches) == sorted(fold.test.tolist() for fold in of_step(folds, "4"))


def test_own_trials_are_nested_balanced_and_the_person_s_own(data):
    _, y, metadata = data
    subject = metadata["subject"].to_numpy()
    folds = calibration_folds(y, metadata, own_trials=["all", 8, 0, 4], n_splits=4)
    for four, eight, everything in zip(*(of_step(folds, step) for step in ("4", "8", "all")), strict=True):
        assert four.test.tolist() == eight.test.tolist() == everything.test.tolist()
        assert set(four.own) < set(eight.own) < set(everything.own)
        assert (len(four.own), len(eight.own), len(everything.own)) == (4, 8, 12)
        assert np.unique(y[four.own], return_counts=True)[1].tolist() == [2, 2]
        assert len(set(subject[everything.own]) | set(subject[everything.test])) == 1
        assert (
            sorted([*everything.own, *everything.test])
            == np.flatnonzero(subject == subject[four.test[0]]).tolist()
        )


def test_own_trials_of_three_classes_take_turns():
    y = np.tile(["feet", "left", "right", "right"], 12)
    metadata = pd.DataFrame({"subject": np.repeat([1, 2], 24)})
    for fold in of_step(calibration_folds(y, metadata, own_trials=[6], n_splits=3), "6"):
        assert np.unique(y[fold.own], return_counts=True)[1].tolist() == [2, 2, 2]


def test_the_other_people_are_those_of_cross_subject(data):
    _, y, metadata = data
    folds = calibration_folds(y, metadata, n_splits=3, own_trials=[0, 4])
    across = make_folds("cross-subject", y, metadata, n_splits=3)
    for fold, (train, test) in zip(of_step(folds, "0"), across, strict=True):
        assert fold.train.tolist() == train.tolist() and sorted(fold.test) == test.tolist()
        assert len(fold.own) == 0
    for fold in of_step(folds, "4"):
        (others,) = [train for train, test in across if fold.test[0] in test]
        assert fold.train.tolist() == others.tolist()


def test_the_seed_decides_which_trials_calibrate(data):
    _, y, metadata = data

    def own(seed):
        folds = calibration_folds(y, metadata, own_trials=[4], n_splits=4, random_state=seed)
        return [fold.own.tolist() for fold in folds]

    assert own(0) == own(0) != own(1)


def test_numbers_of_own_trials_that_some_do_not_have_are_left_out(data):
    _, y, metadata = data
    with pytest.warns(UserWarning, match="16, 40 own trials are left out: folds leave as few as 12"):
        folds = calibration_folds(y, metadata, n_splits=4)
    assert {fold.step for fold in folds} == {"0", "4", "8", "all"}
    assert {fold.step for fold in calibration_folds(y, metadata, n_splits=4, own_trials=[12])} == {"12"}
    with (
        pytest.warns(UserWarning, match="13 own trials are left out"),
        pytest.raises(ValueError, match=r"own_trials=\[13\] leaves no fold"),
    ):
        calibration_folds(y, metadata, n_splits=4, own_trials=[13])


@pytest.mark.parametrize("number", [1, -4, 2.5, True, "some"])
def test_what_is_no_number_of_own_trials_is_refused(data, number):
    _, y, metadata = data
    with pytest.raises(ValueError, match=r"own_trials: .* cannot train two classes; give 0, at least 2"):
        calibration_folds(y, metadata, own_trials=[0, number])


def test_one_person_calibrates_without_others(data):
    _, y, metadata = data
    folds = calibration_folds(y[:16], metadata[:16], own_trials=[0, 4, "all"], n_splits=2)
    assert [fold.step for fold in folds] == ["4", "all"] * 2
    assert all(len(fold.train) == 0 for fold in folds)


def test_make_folds_gives_calibration_as_pairs(data):
    _, y, metadata = data
    with pytest.warns(UserWarning, match="left out"):
        pairs = make_folds("calibration", y, metadata, n_splits=4)
    assert len(pairs) == 4 + 3 * 4 * 6
    assert {len(train) for train, test in pairs if len(test) == 4} <= {64 + 4, 80 + 4, 64 + 8, 80 + 8, 92, 76}
