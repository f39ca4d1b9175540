"""Messages with markup: only known tags are HTML."""

from webadmin.rich_text import Html, rich


def test_links_and_tags_are_put_in():
    text = rich("See <audit>the audit</audit>, <b>now</b>.", {"audit": "/audit?a={b}&c=2"})
    assert text == 'See <a href="/audit?a=%7Bb%7D&amp;c=2">the audit</a>, <b>now</b>.'


def test_neither_a_message_nor_a_value_brings_in_html():
    text = rich("<script>x</script> <img src=x> {name} <b>", name='<b onclick="x">&')
    assert text == (
        "&lt;script&gt;x&lt;/script&gt; &lt;img src=x&gt; &lt;b onclick=&quot;x&quot;&gt;&amp; <b>"
    )


def test_a_value_that_is_html_stays():
    assert rich("{time} ago", time=Html("<time>5</time>")) == "<time>5</time> ago"
