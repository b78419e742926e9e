"""Of two classes the one that is looked for, in the languages and codes that people write."""

import polars as pl
import pytest

from medeor.formats.values.targets import positive_class, read_target, read_targets
from medeor.targets import of

PAIRS = {
    "English": "benign,malignant|no,yes|negative,positive|normal,abnormal|healthy,sick|control,case|ctrl,case|"
    "HC,patient|control,AD|NC,AD|CN,MCI|WT,mut|wild-type,mutant|false,true|absent,present|alive,dead|low,high|normal,COVID-19|"
    "no finding,pneumonia|inactive,active|Non-blocker,Blocker|unaffected,affected|disease-free,disease|not ill,ill|"
    "without metastasis,with metastasis|no evidence of disease,recurrence|healthy,unhealthy|normal,not normal|"
    "as expected,not normal|"
    "negative for malignancy,positive for malignancy|HER2-,HER2+|ER negative,ER positive|nevus,melanoma|"
    "not detected,detected|non-diabetic,diabetic|Healthy Control,Parkinson|unremarkable,lesion|benign,non-benign",
    "Chinese": "阴性,阳性|良性,恶性|陰性,陽性|良性,惡性|正常,异常|正常,異常|健康,患者|对照,病例|對照組,病例組|无,有|"
    "無,有|否,是|未见异常,结节|未見異常,異常|良,恶|阴,阳|没有,有|不是,是|非癌,癌|无转移,有转移|未转移,转移|良性结节,恶性结节|正常,肺炎|"
    "野生型,突变|存活,死亡|未检出,检出|正常,不正常|低风险,高风险",
    "French": "sain,malade|non malade,malade|bénin,malin|benin,malin|bénigne,maligne|négatif,positif|non,oui|faux,vrai|"
    "témoin,cas|normal,anormal|sans lésion,lésion|pas de lésion,lésion|aucune lésion,lésion|absent,présent|"
    "non infecté,infecté|sain,pas sain|BENIN,MALIN",
    "German": "gesund,krank|nicht krank,krank|gutartig,bösartig|benigne,maligne|negativ,positiv|nein,ja|falsch,wahr|"
    "unauffällig,auffällig|unauffaellig,auffaellig|ohne Befund,Befund|kein Tumor,Tumor|keine Läsion,Läsion|"
    "Kontrolle,Patient|gesund,nicht gesund|lebend,verstorben|Wildtyp,mutiert|NEIN,JA",
    "Spanish": "sano,enfermo|benigno,maligno|negativo,positivo|no,sí|no,si|sin lesión,lesión|sin lesion,con lesion|"
    "falso,verdadero|ausente,presente|control,caso|vivo,muerto|no enfermo,enfermo|bajo,alto",
    "Italian": "sano,malato|benigno,maligno|negativo,positivo|no,sì|assente,presente|senza lesione,lesione",
    "Portuguese": "saudável,doente|não,sim|sem lesão,lesão|negativo,positivo|benigno,maligno",
    "codes": "0,1|-1,1|0,2|-,+|(-),(+)|−,＋|－,＋|N,Y|n,y|F,T|f,t|neg,pos|B,M|b,m|HC,PD|"
    "grade 0,grade 1|class_0,class_1|ＮＯ,ＹＥＳ|×,√|✗,✓|N,P|N,J|F,V",
}  # fmt: skip


@pytest.mark.parametrize(
    ("absent", "present"), [pair.split(",") for line in PAIRS.values() for pair in line.split("|")]
)
def test_the_words_decide_and_not_the_alphabet(absent: str, present: str) -> None:
    for values in ([absent, present], [present, absent]):
        target, column, _ = read_target(pl.Series("t", values))
        assert target.classes == (absent, present)
        assert not target.guessed
        assert column.to_list() == [int(value == present) for value in values]
        (said,) = positive_class([target])
        assert (said.status, str(said.message)) == ("pass", f"positive class: {present}")


@pytest.mark.parametrize(
    ("first", "second"),
    [("left", "right"), ("A", "B"), ("M", "F"), ("F", "M"), ("1", "2"), ("男", "女"), ("左", "右"), ("homme", "femme"),
     ("lobular", "ductal"), ("AD", "MCI"), ("T1", "T2"), ("links", "rechts"), ("foo", "bar")],
)  # fmt: skip
def test_where_the_words_decide_nothing_the_second_is_taken_and_called_guessed(first: str, second: str) -> None:
    no, yes = sorted([first, second])
    target = read_target(pl.Series("t", [first, second])).target
    assert target.classes == (no, yes)
    assert target.guessed
    (said,) = positive_class([target])
    assert said.status == "unknown"
    assert str(said.message) == f"positive class: {yes} (guessed; change it with --option positive={no})"
    # Who names it guesses nothing.
    for chosen in (first, second):
        named = read_target(pl.Series("t", [first, second]), positive=chosen).target
        assert named.classes[1] == chosen
        assert not named.guessed
    assert not read_target(pl.Series("t", [first, second]), classes=(yes, no)).target.guessed


def test_each_of_several_labels_says_what_is_looked_for() -> None:
    table = pl.DataFrame({"oedema": ["oui", "non"], "side": ["left", "right"], "size": [1.5, 2.5]})
    targets, _, _ = read_targets(table, table.columns)
    assert [of(target).words for target in targets] == [("non", "oui"), ("left", "right"), ()]
    (said,) = positive_class(targets)
    assert said.status == "unknown"
    assert str(said.message) == (
        "positive class of oedema: oui, positive class of side: right (guessed; change it with --option positive=left)"
    )
    assert positive_class(targets[2:]) == ()
