import unittest

from handler import handler


class Greets(unittest.TestCase):
    def test_by_name(self):
        self.assertEqual(handler({"name": "you"}, None)["text"], "hello, you")

    def test_says_that_it_works(self):
        self.assertTrue(handler({"check": True}, None)["ok"])
