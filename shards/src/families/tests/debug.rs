use crate::testing::Tester;
